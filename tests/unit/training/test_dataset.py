"""Batches: every row once an epoch, in an order that the seed alone decides."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from nightshift.training.dataset import Batches, from_files, from_memory
from tests.unit.training.small_data import READER, columns, examples, write_files

ROWS = 103


def _memory(tmp_path: Path, seed: int) -> Batches:
    return from_memory(examples(ROWS), batch_size=20, epochs=2, seed=seed)


def _files(tmp_path: Path, seed: int) -> Batches:
    whole = columns(ROWS)
    cuts = [0, 30, 31, 80, ROWS]
    parts = [
        {name: values[a:b] for name, values in whole.items()} for a, b in itertools.pairwise(cuts)
    ]
    files = write_files(tmp_path, parts)
    return from_files(READER, files, ROWS, batch_size=20, epochs=2, seed=seed, shuffle_rows=40)


def _order(batches: Batches) -> tuple[list[float], list[float]]:
    """The weights in order of both epochs; a weight names its row."""
    parts = [inputs["weight"].numpy()[:, 0] for inputs, _ in batches.dataset]
    assert [len(part) for part in parts] == [20, 20, 20, 20, 20, 3] * 2
    assert batches.steps == 6
    return np.concatenate(parts[:6]).tolist(), np.concatenate(parts[6:]).tolist()


both = pytest.mark.parametrize("make", [_memory, _files], ids=["memory", "files"])


@both
def test_every_epoch_holds_every_row_once(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = sorted(examples(ROWS).inputs["weight"].tolist())
    first, second = _order(make(tmp_path, 1))
    assert sorted(first) == whole
    assert sorted(second) == whole
    assert first != second


@both
def test_the_seed_decides_the_order(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert _order(make(tmp_path, 1)) == _order(make(tmp_path, 1))
    assert _order(make(tmp_path, 1)) != _order(make(tmp_path, 2))


@both
def test_columns_and_labels_stay_together(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = examples(ROWS)
    expected = {
        weight: (colour, label)
        for weight, colour, label in zip(
            whole.inputs["weight"].tolist(), whole.inputs["colour"], whole.labels, strict=True
        )
    }
    for inputs, labels in make(tmp_path, 3).dataset:
        rows = zip(inputs["weight"].numpy()[:, 0].tolist(), inputs["colour"], labels, strict=True)
        for weight, colour, label in rows:
            assert expected[weight] == (colour[0].numpy().decode(), label[0].numpy())
