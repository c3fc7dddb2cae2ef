"""TFDV statistics of Parquet files by Apache Beam: for more rows than one machine should count.

Beam's local runner takes forty times as long as this process does by itself (see ``profile.py``):
name a runner that has a cluster in ``NIGHTSHIFT_BEAM_OPTIONS``.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.pinned import PinnedFile
from nightshift.data.reader import iter_batches

if TYPE_CHECKING:
    import pyarrow as pa
    from tensorflow_metadata.proto.v0 import schema_pb2

    from nightshift.validation.profile import Statistics

BEAM_OPTIONS = "NIGHTSHIFT_BEAM_OPTIONS"
"""Environment variable with Beam's own options, such as ``--runner=FlinkRunner …``."""
ROWS_IN_MEMORY = 20_000_000
"""More rows than this go through Beam."""


def statistics_with_beam(
    files: Sequence[tuple[PinnedFile, Path]],
    columns: Sequence[str],
    schema: schema_pb2.Schema,
    work: Path,
) -> Statistics:
    """As :func:`nightshift.validation.profile.statistics_of`, by a Beam pipeline over the files."""
    import apache_beam as beam
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from nightshift.validation.profile import options_of

    output = work / "beam-statistics.binpb"
    settings = shlex.split(os.environ.get(BEAM_OPTIONS, ""))
    with beam.Pipeline(options=PipelineOptions(settings)) as pipeline:
        _ = (
            pipeline
            | "Files" >> beam.Create(list(files))
            | "Read" >> beam.FlatMap(_canonical_batches, columns=tuple(columns))
            | "Statistics" >> tfdv.GenerateStatistics(options_of(schema))
            | "Write" >> tfdv.WriteStatisticsToBinaryFile(str(output))
        )
    return tfdv.load_stats_binary(str(output))


def _canonical_batches(
    file: tuple[PinnedFile, Path], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from tfx_bsl.arrow import table_util

    from nightshift.validation.profile import plain

    for batch in iter_batches([file], columns):
        table = plain(pa.Table.from_batches([batch]))
        for part in table.combine_chunks().to_batches():
            yield table_util.CanonicalizeRecordBatch(part)
