"""One column in several parts of the data, on common bins, from TFDV's statistics alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from nightshift.validation.profile import Statistics

_BINS = 30
_CATEGORIES = 12
_TAIL = 0.01
"""The outermost bins stand for whatever lies beyond: else one outlier flattens the picture."""


@dataclass(frozen=True)
class Distribution:
    """Shares of a column's values by bin, in each part that has the column.

    Attributes:
        column: The column.
        bins: A label for each bin; for numbers its lower end.
        numeric: Whether the bins are of equal width on an axis of numbers.
        low: The axis' first number; beyond it lies the first bin's rest.
        high: Its last.
        shares: Part to the share of its values in each bin.
        others: Part to the share of its values in no bin: rarer categories.
        empty: Part to the share of its rows without a value.
    """

    column: str
    bins: tuple[str, ...]
    numeric: bool
    low: float
    high: float
    shares: dict[str, NDArray[np.float64]]
    others: dict[str, float]
    empty: dict[str, float]


def distributions(parts: Mapping[str, Statistics]) -> Iterator[Distribution]:
    """Every column of the first part, in its order.

    Args:
        parts: Name of each part to its statistics.
    """
    features = {name: _by_column(statistics) for name, statistics in parts.items()}
    for column, first in next(iter(features.values()), {}).items():
        kind = first.WhichOneof("stats")
        there = {
            name: by_column[column]
            for name, by_column in features.items()
            if column in by_column and by_column[column].WhichOneof("stats") == kind
        }
        filled = {n: f for n, f in there.items() if _common(f).num_non_missing}
        if not filled:
            continue
        numeric = kind == "num_stats"
        yield (_of_numbers if numeric else _of_categories)(column, filled, there)


_Features = Mapping[str, "statistics_pb2.FeatureNameStatistics"]


def _by_column(statistics: Statistics) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {".".join(f.path.step): f for dataset in statistics.datasets for f in dataset.features}


def _of_numbers(column: str, filled: _Features, there: _Features) -> Distribution:
    curves = {name: _cumulative(f.num_stats) for name, f in filled.items()}
    ends = [np.interp([_TAIL, 1 - _TAIL], shares, values) for values, shares in curves.values()]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    edges = np.linspace(low, high, _BINS + 1)
    shares = {}
    for name, (values, below) in curves.items():
        at = np.interp(edges, values, below)
        shares[name] = np.diff([0.0, *at[1:-1], 1.0])
    bins = tuple(f"{edge:.4g}" for edge in edges[:-1])
    return Distribution(column, bins, True, float(low), float(high), shares, {}, _empty(there))


def _cumulative(
    numbers: statistics_pb2.NumericStatistics,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and the share of all that lies at or below each, from the quantiles."""
    [histogram] = [h for h in numbers.histograms if h.type == h.QUANTILES][:1] or [None]
    if histogram is None or not histogram.buckets:
        return np.array([numbers.min, numbers.max]), np.array([0.0, 1.0])
    values = [histogram.buckets[0].low_value, *(b.high_value for b in histogram.buckets)]
    counts = np.cumsum([0.0, *(b.sample_count for b in histogram.buckets)])
    return np.array(values), counts / counts[-1]


def _of_categories(column: str, filled: _Features, there: _Features) -> Distribution:
    found = {
        name: {b.label: b.sample_count for b in f.string_stats.rank_histogram.buckets}
        for name, f in filled.items()
    }
    totals = {name: max(sum(counts.values()), 1.0) for name, counts in found.items()}
    most: dict[str, float] = {}
    for name, counts in found.items():
        for label, count in counts.items():
            most[label] = max(most.get(label, 0.0), count / totals[name])
    # What is frequent anywhere, so that a category of one part alone is seen.
    shown = sorted(most, key=lambda label: (-most[label], label))[:_CATEGORIES]
    shown = _in_order(shown)
    shares = {
        name: np.array([counts.get(label, 0.0) for label in shown]) / totals[name]
        for name, counts in found.items()
    }
    others = {name: max(float(1 - s.sum()), 0.0) for name, s in shares.items()}
    rarer = others if len(most) > len(shown) else {}
    return Distribution(
        column, tuple(shown), False, 0.0, float(len(shown)), shares, rarer, _empty(there)
    )


def _in_order(labels: list[str]) -> list[str]:
    """Whole numbers by size; words as given."""
    return sorted(labels, key=int) if all(x.lstrip("-").isdigit() for x in labels) else labels


def _empty(features: _Features) -> dict[str, float]:
    shares = {}
    for name, feature in features.items():
        common = _common(feature)
        total = common.num_missing + common.num_non_missing
        shares[name] = common.num_missing / total if total else 0.0
    return shares


def _common(feature: statistics_pb2.FeatureNameStatistics) -> statistics_pb2.CommonStatistics:
    return getattr(feature, feature.WhichOneof("stats")).common_stats
