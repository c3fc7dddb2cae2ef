"""Feature statistics: one pass over batches says the same as a look at the whole column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.model import Feature, FeatureType
from nightshift.training import features as module
from nightshift.training.features import FeatureStatistics, compute_statistics

finite = st.floats(-1e9, 1e9, allow_nan=False)


def _statistics(type_: FeatureType, *parts: list[object]) -> FeatureStatistics:
    types = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "image": pa.binary()}
    arrow, shape = types[type_], (2, 2, 1) if type_ is FeatureType.IMAGE else None
    batches = [pa.record_batch({"x": pa.array(part, arrow)}) for part in parts]
    return compute_statistics(batches, {"x": Feature(type=type_, shape=shape)})["x"]


@given(st.lists(st.lists(finite), min_size=1).filter(any))
def test_batches_merge_to_the_whole(parts: list[Any]) -> None:
    found = _statistics(FeatureType.FLOAT, *parts)
    whole = np.concatenate([np.array(part, float) for part in parts])
    assert found.count == len(whole)
    assert found.mean == pytest.approx(whole.mean(), rel=1e-9, abs=1e-6)
    assert found.variance == pytest.approx(whole.var(), rel=1e-6, abs=1e-3)
    assert (found.minimum, found.maximum) == (whole.min(), whole.max())


def test_variance_survives_a_large_offset() -> None:
    found = _statistics(FeatureType.FLOAT, [1e9, 1e9 + 1], [1e9 + 2, 1e9 + 3])
    assert found.variance == pytest.approx(1.25)


def test_a_vocabulary_is_sorted_and_spans_batches() -> None:
    assert _statistics(FeatureType.STRING, ["UA", "AA"], ["B6", "AA"]).vocabulary == (
        "AA",
        "B6",
        "UA",
    )


def test_nulls_are_counted_and_are_in_no_vocabulary() -> None:
    found = _statistics(FeatureType.INT, [3, None], [None, 1])
    assert (found.count, found.missing, found.vocabulary, found.mean) == (2, 2, (1, 3), 2.0)


def test_integers_with_too_many_values_are_quantities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_INTEGER_VOCABULARY", 3)
    assert _statistics(FeatureType.INT, [1, 2], [3, 1]).vocabulary == (1, 2, 3)
    assert _statistics(FeatureType.INT, [1, 2], [3, 4], [1]).vocabulary == ()


@pytest.mark.parametrize("type_", list(FeatureType))
def test_a_column_without_values_has_plain_zeros(type_: FeatureType) -> None:
    found = _statistics(type_, [None, None])
    assert (found.count, found.mean, found.variance, found.minimum) == (0, 0.0, 0.0, 0.0)
    assert found.vocabulary == ()
