"""``lineage`` and ``reproduce``: where a version came from, and whether it can be made again."""

from __future__ import annotations

import getpass
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from nightshift.artifacts.store import ArtifactStore
from nightshift.card.files import card_page
from nightshift.command.display import console, heading
from nightshift.command.releases import airflow_page, require_pipeline, stack_bucket
from nightshift.data.pinned import PinnedFile, Split
from nightshift.definition.folders import pipeline_names, pipelines_root
from nightshift.errors import BadDefinitionError, RefusedError
from nightshift.lineage.chain import TRAIN, Chain, chain_of
from nightshift.lineage.reproduction import (
    TOLERANCE,
    CodeDifference,
    Compared,
    Reproduction,
    differing,
)
from nightshift.release import requests
from nightshift.stack.settings import current_settings
from nightshift.storage.s3 import Bucket
from nightshift.tracking.registry import Registry

_DIGITS = 12
"""Shown of a digest where the whole one is in --json and in the table of files."""

VersionArgument = Annotated[
    str,
    typer.Argument(metavar="NAME[@VERSION]", help="Such as flights@7; without @: the live one."),
]


def lineage(
    of: VersionArgument,
    json: Annotated[bool, typer.Option("--json", help="Everything, for a program.")] = False,
) -> None:
    """Where a version came from: lake files, code, parameters, runtimes, persons; its releases.

    Follows references from the version's registration; every manifest is checked against its
    digest on the way. An artifact that is gone is named, and the exit code is 1.

    Examples:

      ./nightshift lineage flights@7

      ./nightshift lineage flights --json > flights.json
    """
    settings = current_settings()
    chain = _chain(stack_bucket(settings), of)
    if json:
        typer.echo(chain.model_dump_json(indent=1))
        return
    console.print(_tree(chain))
    if chain.card:
        page = card_page(chain.pipeline, chain.version)
        console.print(f"Model card: {airflow_page(settings, page)}")
    for title, table in (
        ("Artifacts", _artifacts(chain)),
        ("Code and runtimes (SHA-256)", _code(chain)),
        ("Who did what", _deeds(chain)),
        (f"Files of s3://{chain.data.bucket}", _files(chain.data.files)),
    ):
        console.print()
        heading(title)
        console.print(table)


def reproduce(
    of: VersionArgument,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference that counts as the same.")
    ] = TOLERANCE,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what was made; say where.")] = False,
) -> None:
    """Train a version again from its lineage alone and compare the metrics.

    Recorded parameters, pinned lake files and the recorded model.py, in a place of its own: nothing
    is overwritten or registered. Says where the code here is not the code that made the version.
    Exit code 0 where every number is the same within the tolerance, 1 otherwise.

    Examples:

      ./nightshift reproduce flights@7
    """
    bucket = stack_bucket(current_settings())
    chain = _chain(bucket, of)
    folder = pipelines_root() / chain.pipeline
    with tempfile.TemporaryDirectory(prefix="nightshift-reproduce-") as work:
        again = Reproduction(
            store=ArtifactStore(bucket),
            chain=chain,
            work=Path(work),
            pipeline=folder if folder.is_dir() else None,
            by=f"{getpass.getuser()}@command",
        )
        _say_code(again.code_differences())
        try:
            compared = again.run(lambda line: console.print(Text(f"  {line}", style="dim")))
        finally:
            if not keep:
                again.remove()
    console.print(_comparison(compared, tolerance))
    if keep:
        console.print(f"Kept below s3://{bucket.name}/{again.scratch}/")
    _conclude(chain, differing(compared, tolerance), tolerance)


def _chain(bucket: Bucket, of: str) -> Chain:
    pipeline, at, number = of.partition("@")
    registry = Registry(bucket, pipeline)
    if at and not number.isdecimal():
        raise BadDefinitionError(f"{of!r} is no version; one looks like {pipeline or 'flights'}@7.")
    if not at:
        require_pipeline(pipeline)
        champion = requests.record(bucket, pipeline).champion
        if champion is None:
            raise RefusedError(f"{pipeline}: no version is live; name one: {pipeline}@1")
        number = str(champion.version)
    try:
        candidate = registry.version(int(number))
    except RefusedError:
        # A pipeline may be gone from this folder, and its versions are not.
        if pipeline not in pipeline_names():
            require_pipeline(pipeline)
        raise
    return chain_of(ArtifactStore(bucket), pipeline, candidate, registry.card(candidate.version))


def _tree(chain: Chain) -> Tree:
    candidate, data = chain.candidate, chain.data
    tree = Tree(Text(f"{chain.pipeline} version {chain.version}", style="bold"))
    tree.add(f"night {candidate.night}, MLflow run {candidate.run_id or 'none'}")
    tree.add(_folded(f"released {candidate.released.uri}, manifest {candidate.released.digest}"))
    if chain.card:
        tree.add(_folded(f"model card {chain.card.uri}"))
    days = [file.date for file in data.files]
    lake = tree.add(
        f"data {min(days)} to {max(days)}: {len(data.files)} files of s3://{data.bucket}"
        if days
        else "no data"
    )
    for split in Split:
        lake.add(f"{split}: {data.rows(split):,} rows")
    champion = data.baseline.champion
    tree.add(f"compared with version {champion.version}" if champion else "no champion before it")
    train = chain.link(TRAIN)
    if train:
        parameters = tree.add("trained with")
        for name, value in train.manifest.parameters.get("training", {}).items():
            parameters.add(_folded(f"{name}: {value}"))
    return tree


def _artifacts(chain: Chain) -> Table:
    table = _table("step", "artifact", "made of", "made at (UTC)", "by", "code")
    for link in chain.artifacts:
        manifest = link.manifest
        table.add_row(
            link.name,
            f"{link.ref.kind}/{link.ref.key}",
            ", ".join(manifest.inputs) or "-",
            manifest.created.strftime("%Y-%m-%d %H:%M:%S"),
            manifest.by or "-",
            manifest.code_version or "-",
        )
    return table


def _code(chain: Chain) -> Table:
    table = _table("step", "part", "sha256")
    for link in chain.artifacts:
        for part, digest in sorted(link.manifest.code.items()):
            table.add_row(link.name, part, digest)
    return table


def _deeds(chain: Chain) -> Table:
    table = _table("when (UTC)", "who", "what", "why", "event")
    for deed in chain.deeds:
        table.add_row(
            deed.at.strftime("%Y-%m-%d %H:%M:%S") if deed.at else "-",
            deed.by,
            deed.what,
            deed.why,
            str(deed.event or ""),
        )
    return table


def _files(files: Sequence[PinnedFile]) -> Table:
    table = _table("split", "file", "version", "rows", "sha256")
    for file in files:
        table.add_row(file.split, file.key, file.version_id or "-", f"{file.rows:,}", file.sha256)
    return table


def _say_code(differences: Sequence[CodeDifference]) -> None:
    if not differences:
        console.print("The code here is the code that made it.")
        return
    console.print(Text("The code here is NOT the code that made it:", style="yellow"))
    for one in differences:
        console.print(
            f"  {one.step}, {one.part}: recorded {one.recorded[:_DIGITS]}, "
            f"here {one.here[:_DIGITS]}"
        )


def _comparison(compared: Sequence[Compared], tolerance: float) -> Table:
    table = _table("step", "metric", "recorded", "reproduced", "difference")
    for one in compared:
        same = one.difference <= tolerance
        table.add_row(
            one.step,
            one.metric,
            _number(one.recorded),
            _number(one.reproduced),
            Text(f"{one.difference:.2g}", style="green" if same else "red"),
        )
    return table


def _conclude(chain: Chain, differ: Sequence[Compared], tolerance: float) -> None:
    whose = f"{chain.pipeline}@{chain.version}"
    if differ:
        worst = max(differ, key=lambda one: one.difference)
        shown = "only on one side" if math.isinf(worst.difference) else f"by {worst.difference:.2g}"
        raise RefusedError(
            f"{whose}: not the same model: {len(differ)} number(s) differ by more than "
            f"{tolerance:g}; {worst.metric} {shown}."
        )
    console.print(Text(f"{whose}: the same metrics within {tolerance:g}.", style="green"))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _folded(text: str) -> Text:
    return Text(text, overflow="fold")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
