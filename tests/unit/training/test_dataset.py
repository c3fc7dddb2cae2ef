"""Batches: the same ones from memory and from files, cut into shares, from any start."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nightshift.training.dataset import Batches, from_files, from_memory
from nightshift.training.order import Order, Position, Share
from tests.unit.training.small_data import READER, columns, examples, write_files

ROWS, EPOCHS = 103, 2
FILE_ROWS = (30, 1, 49, 23)

Make = Callable[..., Batches]


def order(seed: int = 1) -> Order:
    return Order(FILE_ROWS, batch_size=20, seed=seed, pool_rows=37)


def from_ram(folder: Path, seed: int = 1, **how: object) -> Batches:
    return from_memory(examples(ROWS), order(seed), epochs=EPOCHS, **how)  # type: ignore[arg-type]


def from_disk(folder: Path, seed: int = 1, **how: object) -> Batches:
    whole = columns(ROWS)
    cuts = [0, *itertools.accumulate(FILE_ROWS)]
    parts = [{n: v[a:b] for n, v in whole.items()} for a, b in itertools.pairwise(cuts)]
    files = write_files(folder, parts)

    def read(numbers):  # type: ignore[no-untyped-def]
        return [files[n] for n in numbers]

    return from_files(READER, read, order(seed), epochs=EPOCHS, **how)  # type: ignore[arg-type]


both = pytest.mark.parametrize("make", [from_ram, from_disk], ids=["memory", "files"])


def weights(batches: Batches) -> list[list[float]]:
    """Each batch's weights; a weight names its row."""
    return [inputs["weight"].numpy()[:, 0].tolist() for inputs, _ in batches.dataset]


def test_memory_and_files_give_the_same_batches(tmp_path: Path) -> None:
    assert weights(from_ram(tmp_path)) == weights(from_disk(tmp_path))


@both
def test_every_epoch_holds_every_row_once(make: Make, tmp_path: Path) -> None:
    whole = sorted(examples(ROWS).inputs["weight"].tolist())
    batches = weights(make(tmp_path))
    assert [len(batch) for batch in batches] == [20, 20, 20, 20, 20, 3] * EPOCHS
    first, second = (list(itertools.chain(*batches[at : at + 6])) for at in (0, 6))
    assert sorted(first) == sorted(second) == whole
    assert first != second


@both
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_together_see_every_example_of_every_batch_once(
    make: Make, workers: int, tmp_path: Path
) -> None:
    alone = weights(make(tmp_path))
    shares = [weights(make(tmp_path, share=Share(n, workers))) for n in range(workers)]
    together = [list(itertools.chain(*parts)) for parts in zip(*shares, strict=True)]
    assert together == alone


@both
@pytest.mark.parametrize("share", [Share(), Share(1, 3)], ids=["alone", "one of three"])
def test_a_job_that_resumes_gets_exactly_the_batches_that_are_left(
    make: Make, share: Share, tmp_path: Path
) -> None:
    whole = weights(make(tmp_path, share=share))
    for epoch, step in [(0, 1), (0, 5), (1, 0), (1, 4)]:
        rest = weights(make(tmp_path, share=share, start=Position(epoch, step)))
        assert rest == whole[6 * epoch + step :]


@both
def test_the_seed_decides_the_order(make: Make, tmp_path: Path) -> None:
    assert weights(make(tmp_path)) == weights(make(tmp_path))
    assert weights(make(tmp_path)) != weights(make(tmp_path, seed=2))


@both
def test_columns_and_labels_stay_together(make: Make, tmp_path: Path) -> None:
    whole = examples(ROWS)
    expected = {
        weight: (colour, label)
        for weight, colour, label in zip(
            whole.inputs["weight"].tolist(), whole.inputs["colour"], whole.labels, strict=True
        )
    }
    for inputs, labels in make(tmp_path, seed=3).dataset:
        rows = zip(inputs["weight"].numpy()[:, 0].tolist(), inputs["colour"], labels, strict=True)
        for weight, colour, label in rows:
            assert expected[weight] == (colour[0].numpy().decode(), label[0].numpy())


def test_a_worker_without_a_row_of_a_small_batch_gets_an_empty_one() -> None:
    few = Order((3,), batch_size=20, seed=1, pool_rows=37)
    batches = from_memory(examples(3), few, epochs=1, share=Share(0, 4))
    assert [len(labels) for _, labels in batches.dataset.take(few.steps)] == [0]
    assert np.sum([few.sizes(Share(n, 4)) for n in range(4)]) == 3
