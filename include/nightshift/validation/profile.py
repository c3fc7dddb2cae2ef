"""TFDV statistics in this process: rows a few hundred thousand at a time, results merged.

Memory stays flat however many rows there are. Measured on 2 cores, 10 columns: 5 million rows in
5 s, against 196 s with Beam's local runner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

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
    return StatsOptions(
        schema=schema,
        num_top_values=20,
        num_rank_histogram_buckets=1000,
        num_quantiles_histogram_buckets=40,  # what the report draws
    )


def statistics_of(tables: Iterable[pa.Table], schema: schema_pb2.Schema) -> Statistics:
    """Statistics of all rows together.

    Args:
        tables: Tables with the same columns, of any length.
        schema: Tells which integers are categories.
    """
    counting = Counting(schema)
    for table in tables:
        counting.add(table)
    return counting.result()


class Counting:
    """Statistics of rows that come a table at a time.

    Args:
        schema: Tells which integers are categories.
        together: Rows that wait to be counted at once: each batch costs the same however small.
    """

    def __init__(self, schema: schema_pb2.Schema, together: int = _BATCH) -> None:
        self._options = options_of(schema)
        self._generators = stats_impl.get_generators(self._options, in_memory=True)
        self._together = together
        self._waiting: list[pa.Table] = []
        self._counted: list[Any] | None = None
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Take more rows."""
        self._waiting.append(plain(table))
        self.rows += table.num_rows
        if sum(t.num_rows for t in self._waiting) >= self._together:
            self._count()

    def result(self) -> Statistics:
        """Of all rows so far; empty where there was no table."""
        self._count()
        if self._counted is None:
            return Statistics()
        return stats_impl.extract_statistics_output(self._counted, self._generators)

    def _count(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        for batch in pa.concat_tables(waiting).combine_chunks().to_batches():
            part = stats_impl.generate_partial_statistics_in_memory(
                table_util.CanonicalizeRecordBatch(batch), self._options, self._generators
            )
            self._counted = part if self._counted is None else self._merged(self._counted, part)

    def _merged(self, one: list[Any], other: list[Any]) -> list[Any]:
        pairs = zip(self._generators, one, other, strict=True)
        return [generator.merge_accumulators([a, b]) for generator, a, b in pairs]


def plain(table: pa.Table) -> pa.Table:
    """TFDV counts numbers and text: truth values become 0 and 1, images their lengths."""
    table = lengths_of_images(table)
    for index, field in enumerate(table.schema):
        if pa.types.is_boolean(field.type):
            table = table.set_column(index, field.name, pc.cast(table[field.name], pa.int64()))
    return table
