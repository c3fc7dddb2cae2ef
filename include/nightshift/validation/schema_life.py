"""Infer, compare and accept a pipeline's schema: ``python -m nightshift.validation.schema_life``.

``infer`` writes ``schema.proposed.pbtxt`` beside ``schema.pbtxt`` from the lake's newest window,
``diff`` tells what differs, ``accept`` puts the reviewed proposal in its place. What would let data
through that was refused is accepted only where its column is named. Runs in ``validation``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.lake import Lake
from nightshift.data.problems import bad_lake
from nightshift.data.reader import download_files, read_table
from nightshift.data.window import Days, WindowFiles
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.errors import BadDataError, BadDefinitionError, NightshiftError, RefusedError
from nightshift.storage.s3 import lake_bucket
from nightshift.validation.lean import import_lean
from nightshift.validation.schema import SCHEMA_FILE, parse_schema
from nightshift.validation.schema_change import Change, differences
from nightshift.validation.schema_text import is_blank

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    from nightshift.validation.profile import Statistics

PROPOSAL_FILE = "schema.proposed.pbtxt"


def infer(definition: PipelineDefinition, night: date | None) -> list[Change]:
    """Write the proposal that the window asks for; none, and none left, where the schema fits.

    Args:
        definition: The pipeline.
        night: The window's last day; None for the newest in the lake.

    Raises:
        BadDataError: The lake has no day, or a file of the window cannot be read.
    """
    import_lean()
    from nightshift.validation.schema_proposal import Wanted, proposed

    proposal = definition.folder / PROPOSAL_FILE
    text = (definition.folder / SCHEMA_FILE).read_text(encoding="utf-8")
    columns = [c for c in definition.columns if c != definition.dataset.date_column]
    described = [feature.name for feature in _curated(definition).feature]
    days, statistics = _newest_statistics(definition, night, sorted({*columns, *described}))
    wanted = Wanted(columns, frozenset(definition.features), f"{days.first} to {days.night}")
    new = proposed(text, statistics, wanted)
    if new == text:
        proposal.unlink(missing_ok=True)
        return []
    proposal.write_text(new, encoding="utf-8")
    return proposed_changes(definition)


def proposed_changes(definition: PipelineDefinition) -> list[Change]:
    """What the proposal would change.

    Raises:
        BadDefinitionError: There is no proposal, or one of the two files is no schema.
    """
    proposal = definition.folder / PROPOSAL_FILE
    if not proposal.is_file():
        raise BadDefinitionError(
            f"{definition.pipeline} has no {PROPOSAL_FILE}; "
            f"'./nightshift schema infer {definition.pipeline}' writes one where the data asks "
            "for it."
        )
    return differences(_curated(definition), parse_schema(proposal))


def accept(definition: PipelineDefinition, loosen: Iterable[str]) -> list[Change]:
    """Put the proposal in the schema's place.

    Args:
        definition: The pipeline.
        loosen: Columns whose limits may become looser.

    Raises:
        RefusedError: It loosens another column; the message names each and what becomes looser.
    """
    changes = proposed_changes(definition)
    named = set(loosen)
    refused = [c for c in changes if c.looser and (c.column or "schema") not in named]
    if refused:
        columns = sorted({c.column or "schema" for c in refused})
        flags = " ".join(f"--loosen {column}" for column in columns)
        raise RefusedError(
            f"{definition.pipeline}/{PROPOSAL_FILE} lets through what was refused:\n"
            + "\n".join(f"  {change}" for change in refused)
            + f"\nIf that is right: ./nightshift schema accept {definition.pipeline} {flags}"
        )
    (definition.folder / PROPOSAL_FILE).replace(definition.folder / SCHEMA_FILE)
    return changes


def _newest_statistics(
    definition: PipelineDefinition, night: date | None, columns: Sequence[str]
) -> tuple[Days, Statistics]:
    from nightshift.validation import profile

    lake = Lake(lake_bucket(), definition.dataset.name)
    last = night or max(lake.list(date.min, date.max), default=None)
    if last is None:
        raise BadDataError(f"{lake.uri(lake.dataset)} has no day to infer a schema from.")
    days = Days.of(definition.window, last, definition.dataset.partitions)
    with tempfile.TemporaryDirectory(prefix="nightshift-schema-") as scratch:
        files = WindowFiles(lake, days, definition.dataset.date_column)
        seen, problems = files.look(None, Path(scratch))
        if problems or not seen:
            raise bad_lake(definition.pipeline, last, problems or files.short_days([], [], 1))
        known = {name for file in seen if file.footer for name in file.footer.types}
        there = [column for column in columns if column in known]
        pins = [file.pin for file in seen]
        local = download_files(lake.bucket.name, pins, Path(scratch) / "window")
        tables = (read_table([file], there) for file in local)
        return days, profile.statistics_of(tables, _curated(definition))


def _curated(definition: PipelineDefinition) -> Schema:
    """The schema that people wrote; one that describes nothing where it has blanks to fill in."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    path = definition.folder / SCHEMA_FILE
    if is_blank(path.read_text(encoding="utf-8")):
        return schema_pb2.Schema(default_environment=["TRAINING", "SERVING"])
    return parse_schema(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """One command; its changes go to standard output, a foreseen error to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("infer", "diff", "accept"))
    parser.add_argument("pipeline")
    parser.add_argument("--night", type=date.fromisoformat)
    parser.add_argument("--loosen", action="append", default=[])
    options = parser.parse_args(arguments)
    try:
        definition = load_pipeline(options.pipeline)
        if options.what == "infer":
            changes = infer(definition, options.night)
        elif options.what == "diff":
            changes = proposed_changes(definition)
        else:
            changes = accept(definition, options.loosen)
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    print("\n".join(str(change) for change in changes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
