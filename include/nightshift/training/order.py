"""In which order rows are trained on: a function of the seed and the epoch alone.

Not of how many workers share a batch, of how the rows are read, or of where a killed job goes on.
An epoch is: the window's files in a shuffled order, their rows one after another, cut into pools,
each pool shuffled, and the whole cut into global batches. A pool fits in memory however long the
window is, and a window that fits in one pool is shuffled whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from nightshift.definition.model import Feature, FeatureType

POOL_BYTES = 32 * 2**20
"""About what the rows of one pool take in memory: of flights, a third of a million."""

_BYTES = {FeatureType.STRING: 32, FeatureType.INT: 8, FeatureType.FLOAT: 4}


def pool_rows_of(features: Mapping[str, Feature]) -> int:
    """How many rows are shuffled together: follows from the declared features alone."""
    row = sum(prod(f.shape) if f.shape else _BYTES[f.type] for f in features.values())
    return max(1, POOL_BYTES // row)


@dataclass(frozen=True)
class Share:
    """Which part of each global batch one of several takes: each row goes to exactly one."""

    index: int = 0
    count: int = 1

    def bounds(self, rows: Any) -> tuple[Any, Any]:
        """First row and row after the last, of batches with so many rows (a number, an array of
        numbers or a tensor).

        Parts differ by at most one row; a batch with fewer rows than there are parts leaves some
        empty.
        """
        return rows * self.index // self.count, rows * (self.index + 1) // self.count


@dataclass(frozen=True, order=True)
class Position:
    """Where training is: whole epochs, and steps of the next one."""

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Order:
    """The order of a window's rows.

    Attributes:
        file_rows: Rows with a label in each file of the train part, in the snapshot's order.
        batch_size: Rows in a global batch; the last of an epoch may have fewer.
        seed: Makes the order.
        pool_rows: Rows shuffled together.
    """

    file_rows: tuple[int, ...]
    batch_size: int
    seed: int
    pool_rows: int

    @property
    def rows(self) -> int:
        """Rows in an epoch."""
        return sum(self.file_rows)

    @property
    def steps(self) -> int:
        """Global batches in an epoch."""
        return -(-self.rows // self.batch_size)

    def sizes(self, share: Share) -> np.ndarray:
        """Rows of each of an epoch's batches that a share takes, shape [steps]."""
        whole: np.ndarray = np.full(self.steps, self.batch_size, np.int64)
        whole[-1] = self.rows - self.batch_size * (self.steps - 1)
        first, end = share.bounds(whole)
        sizes: np.ndarray = end - first
        return sizes

    def files(self, epoch: int) -> np.ndarray:
        """The files in the epoch's order, as indices of ``file_rows``."""
        return self._random(epoch).permutation(len(self.file_rows))

    def pool(self, epoch: int, number: int) -> np.ndarray:
        """The rows of one pool in the epoch's order, as indices within the pool.

        Args:
            epoch: From 0.
            number: Of the pool within the epoch, from 0.
        """
        size = min(self.pool_rows, self.rows - number * self.pool_rows)
        return self._random(epoch, number + 1).permutation(size)

    def taken(self, first: int, end: int, share: Share) -> np.ndarray:
        """Which of the epoch's places ``first`` to ``end`` fall to a share, bool [end - first]."""
        place = np.arange(first, end)
        start = place - place % self.batch_size
        size = np.minimum(self.batch_size, self.rows - start)
        low, high = share.bounds(size)
        return (place - start >= low) & (place - start < high)

    def epoch(self, number: int) -> np.ndarray:
        """All rows in the epoch's order, as indices into the files' rows one after another."""
        ends = np.cumsum(self.file_rows)
        parts = [np.arange(ends[f] - self.file_rows[f], ends[f]) for f in self.files(number)]
        read = np.concatenate(parts)
        pools = range(-(-self.rows // self.pool_rows))
        places: list[np.ndarray] = [p * self.pool_rows + self.pool(number, p) for p in pools]
        return read[np.concatenate(places)]

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([abs(self.seed), *what])
