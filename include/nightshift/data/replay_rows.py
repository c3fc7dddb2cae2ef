"""Rows of the lake as requests: held-out rows of a snapshot, or requests that were recorded.

``python -m nightshift.data.replay_rows`` reads a :class:`Wanted` as JSON from standard input and
writes one request a line, in column format with a single row, gzipped, to ``--out``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.lake import Lake
from nightshift.data.pinned import Split
from nightshift.data.reader import download, read_snapshot, read_table
from nightshift.data.requests import SUFFIX
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import Feature, FeatureType, PipelineDefinition
from nightshift.errors import BadDataError, NightshiftError
from nightshift.storage.s3 import artifact_bucket, lake_bucket

if TYPE_CHECKING:
    import pyarrow as pa

_FILES = 200
"""The newest recorded files that are looked at."""


class Source(StrEnum):
    """Where requests come from."""

    RECORDED = "recorded"
    HOLDOUT = "holdout"


class Wanted(BaseModel):
    """Which requests, and how many."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pipeline: str
    source: Source | None = None
    """None: recorded ones where there are any."""
    limit: int
    snapshot: ArtifactRef | None = None
    """The snapshot whose held-out rows are taken."""


def rows(wanted: Wanted) -> tuple[Source, list[dict[str, Any]]]:
    """At most ``limit`` requests, and where they came from.

    Raises:
        BadDataError: There are none.
        UnavailableError: The object store does not answer.
    """
    definition = load_pipeline(wanted.pipeline)
    if wanted.source is not Source.HOLDOUT:
        left_out = definition.release.recording.leave_out
        found = [] if left_out else _recorded(definition, wanted.limit)
        if found:
            return Source.RECORDED, found
        if wanted.source is Source.RECORDED:
            raise BadDataError(_no_recorded(definition, left_out))
    found = _held_out(definition, wanted)
    if not found:
        raise BadDataError(
            f"{wanted.pipeline}: there is no held-out row of the version under way to replay."
        )
    return Source.HOLDOUT, found


def _no_recorded(definition: PipelineDefinition, left_out: Sequence[str]) -> str:
    if left_out:
        return (
            f"{definition.pipeline}: recorded requests lack {', '.join(left_out)} "
            "(release.recording.leave_out), so that no model can answer them. Use --from holdout."
        )
    return (
        f"{definition.pipeline}: no recorded request in {definition.dataset.name}{SUFFIX}. Set "
        "release.recording.sample in pipeline.yaml, or use --from holdout."
    )


def _recorded(definition: PipelineDefinition, limit: int) -> list[dict[str, Any]]:
    """The newest, newest files first."""
    lake = Lake(lake_bucket(), definition.dataset.name + SUFFIX)
    by_day = lake.list(date(1970, 1, 1), date(9999, 12, 31))
    files = [version for day in sorted(by_day, reverse=True) for version in by_day[day]]
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, version in enumerate(files[:_FILES]):
            path = Path(folder) / f"{number}.parquet"
            with path.open("wb") as target:
                for _ in lake.bucket.stream(version.key, target, version_id=version.version_id):
                    pass
            found += _of_recorded(path, definition.features)
            if len(found) >= limit:
                break
    return found[:limit]


def _of_recorded(path: Path, features: Mapping[str, Feature]) -> list[dict[str, Any]]:
    """A file's requests; none where it is not whole: its writer may have known other features."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        return []
    if not set(features) <= set(table.column_names):
        return []
    return list(_requests(table, features))


def _held_out(definition: PipelineDefinition, wanted: Wanted) -> list[dict[str, Any]]:
    """Spread evenly over the held-out rows."""
    if wanted.snapshot is None:
        return []
    store = ArtifactStore(artifact_bucket())
    snapshot = read_snapshot(store, store.open(wanted.snapshot))
    with tempfile.TemporaryDirectory() as folder:
        files = download(snapshot, Split.HOLDOUT, Path(folder))
        table = read_table(files, list(definition.features))
        count = min(wanted.limit, table.num_rows)
        chosen = [number * table.num_rows // count for number in range(count)]
        return list(_requests(table.take(chosen), definition.features))


def _requests(table: pa.Table, features: Mapping[str, Feature]) -> Iterator[dict[str, Any]]:
    columns = {name: _values(table.column(name), feature) for name, feature in features.items()}
    for row in zip(*columns.values(), strict=True):
        if not any(value is None for value in row):
            yield {name: [value] for name, value in zip(columns, row, strict=True)}


def _values(column: pa.ChunkedArray, feature: Feature) -> Iterable[Any]:
    """As a client sends them; None where the model cannot be asked without."""
    plain = column.to_pylist()
    if feature.type is FeatureType.STRING:
        # As in training: a null string is an empty one, a null float no number.
        return ["" if value is None else value for value in plain]
    if feature.type is FeatureType.FLOAT:
        return [float("nan") if value is None else float(value) for value in plain]
    if feature.type is FeatureType.IMAGE:
        assert feature.shape is not None
        _, width, channels = feature.shape
        return [value and _pixels(value, width, channels) for value in plain]
    return plain


def _pixels(value: bytes, width: int, channels: int) -> list[list[list[float]]]:
    numbers = [float(pixel) for pixel in value]
    pixels = [numbers[at : at + channels] for at in range(0, len(numbers), channels)]
    return [pixels[at : at + width] for at in range(0, len(pixels), width)]


def main(arguments: Sequence[str]) -> int:
    """Write the requests; prints where they came from and how many there are, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m nightshift.data.replay_rows")
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args(arguments).out
    try:
        source, found = rows(Wanted.model_validate_json(sys.stdin.read()))
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    with gzip.open(out, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(request) + "\n" for request in found)
    print(json.dumps({"source": source, "requests": len(found)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
