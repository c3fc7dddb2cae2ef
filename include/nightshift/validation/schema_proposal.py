"""Propose the schema that the newest window asks for: the curated one, changed where data differs.

What people wrote stays: comments, order, limits that the data keeps. A limit is only ever proposed
wider, and only as far as the data goes; tightening is a person's decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from nightshift.validation.limits import Limits
from nightshift.validation.profile import Statistics
from nightshift.validation.schema import limits_of
from nightshift.validation.schema_text import SchemaText, is_blank

_FEW = 100
"""A column with more different words has no list of them."""
_EMPTY = """\
# What the data must look like, as TensorFlow Data Validation reads it (tensorflow_metadata Schema).
# Inferred: bounds and lists are what one window showed. Widen them with what you know.

default_environment: "TRAINING"
default_environment: "SERVING"
"""


@dataclass(frozen=True)
class Wanted:
    """What the pipeline needs described.

    Attributes:
        columns: Every column that it reads, apart from the date.
        features: Those that a client sends.
        seen: Which days the statistics are of, for comments.
    """

    columns: Sequence[str]
    features: frozenset[str]
    seen: str


def proposed(text: str, statistics: Statistics, wanted: Wanted) -> str:
    """The schema's text with what the data asks for.

    Args:
        text: The curated schema, or the template's.
        statistics: Of every row of the window.
        wanted: What must be described.
    """
    edited = SchemaText(_EMPTY if is_blank(text) else text)
    schema = text_format.Parse(edited.text, schema_pb2.Schema())
    found = {".".join(f.path.step): f for d in statistics.datasets for f in d.features}
    known = {limit.column: limit for limit in limits_of(schema)}
    for column, limit in known.items():
        if column in found:
            _widen(edited, limit, found[column], wanted.seen)
    for column in wanted.columns:
        if column in found and column not in known:
            edited.append(_feature(column, found[column], column in wanted.features))
    return edited.text


def _widen(
    edited: SchemaText, limit: Limits, seen: statistics_pb2.FeatureNameStatistics, days: str
) -> None:
    present = _present(seen)
    if present < limit.min_present:
        edited.set_presence(limit.column, _rounded_down(present))
    if limit.domain is not None and seen.HasField("string_stats"):
        strangers = [value for value in _values(seen) if value not in limit.domain]
        if strangers:
            edited.add_values(limit.column, strangers, f"seen {days}")
    if seen.HasField("num_stats"):
        numbers = seen.num_stats
        if limit.low is not None and numbers.min < limit.low:
            edited.set_bound(limit.column, "min", numbers.min)
        if limit.high is not None and numbers.max > limit.high:
            edited.set_bound(limit.column, "max", numbers.max)


def _feature(column: str, seen: statistics_pb2.FeatureNameStatistics, asked: bool) -> str:
    """A new column's block, with its list of words where it has one."""
    present = _rounded_down(_present(seen))
    values = _values(seen)
    lines = [f'name: "{column}"', f"type: {_type(seen)}"]
    listed = seen.type == seen.STRING and len(values) <= _FEW
    if listed:
        lines.append(f'domain: "{column}"')
    elif seen.HasField("num_stats"):
        lines.append(_number_domain(seen))
    lines.append(f"presence {{ min_fraction: {present:g} min_count: 1 }}")
    lines.append("shape { dim { size: 1 } }" if present == 1 else "value_count { min: 1 max: 1 }")
    if not asked:
        lines.append('not_in_environment: "SERVING"')
    return _block("feature", lines) + (_domain(column, values) if listed else "")


def _type(seen: statistics_pb2.FeatureNameStatistics) -> str:
    return {seen.INT: "INT", seen.FLOAT: "FLOAT"}.get(seen.type, "BYTES")


def _number_domain(seen: statistics_pb2.FeatureNameStatistics) -> str:
    numbers = seen.num_stats
    if seen.type == seen.INT:
        return f"int_domain {{ min: {numbers.min:.0f} max: {numbers.max:.0f} }}"
    bounds = f"min: {numbers.min:.10g} max: {numbers.max:.10g}"
    return f"float_domain {{ {bounds} disallow_nan: true disallow_inf: true }}"


def _domain(column: str, values: Iterable[str]) -> str:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return _block("string_domain", [f'name: "{column}"', *(f'value: "{v}"' for v in quoted)])


def _block(kind: str, lines: Iterable[str]) -> str:
    return f"{kind} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _values(seen: statistics_pb2.FeatureNameStatistics) -> list[str]:
    return sorted(bucket.label for bucket in seen.string_stats.rank_histogram.buckets)


def _present(seen: statistics_pb2.FeatureNameStatistics) -> float:
    common = getattr(seen, seen.WhichOneof("stats")).common_stats
    return common.num_non_missing / max(common.num_missing + common.num_non_missing, 1)


def _rounded_down(share: float) -> float:
    return math.floor(share * 100) / 100
