"""Candidate and champion on the same rows: any metric, in any group, as an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nightshift.definition.gates import Measuring, Metric
from nightshift.definition.slicing import Slicing
from nightshift.evaluation import fairness, resampling
from nightshift.evaluation.calibration import BINS, bins_of
from nightshift.evaluation.estimates import Bootstrapped, Estimate, PairedProportion, Proportion
from nightshift.evaluation.metrics import LOG_LOSS_EPSILON, Steps
from nightshift.evaluation.outcomes import Counts, Outcomes, ratio, selected, threshold_at_rate
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.resampling import draw_counts, generator, spread
from nightshift.evaluation.slicing import NO_GROUP, Groups, all_groups

_RATES = {
    Metric.PRECISION: "precision",
    Metric.RECALL: "recall",
    Metric.ACCURACY: "accuracy",
}
_GAPS = {
    Metric.SELECTION_RATE_RATIO: fairness.selection_rate_ratio,
    Metric.SELECTION_RATE_GAP: fairness.selection_rate_gap,
    Metric.TPR_GAP: fairness.tpr_gap,
    Metric.FPR_GAP: fairness.fpr_gap,
}
_OURS, _THEIRS = 0, 1


@dataclass(frozen=True)
class Rows:
    """The rows of one group.

    Attributes:
        slicing: Name of the slicing; None for all rows.
        value: Name of the group; None likewise.
        at: Their numbers, ascending.
    """

    slicing: str | None
    value: str | None
    at: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.at)

    @property
    def title(self) -> str:
        """The group in words."""
        return f"{self.slicing} = {self.value}" if self.slicing else "all rows"


@dataclass(frozen=True)
class Compared:
    """One metric of one group.

    Attributes:
        candidate: The candidate's value.
        champion: The champion's; None where there is none.
        difference: Candidate less champion, of gaps the growth of their size; None likewise.
    """

    candidate: Estimate
    champion: Estimate | None = None
    difference: Estimate | None = None


class Comparison:
    """One table of predictions, ready to be asked.

    Args:
        predictions: The table.
        slicings: Declared slices and sensitive features.
        measuring: Section ``evaluation``.
    """

    def __init__(
        self, predictions: Predictions, slicings: tuple[Slicing, ...], measuring: Measuring
    ) -> None:
        self.predictions = predictions
        self.measuring = measuring
        self.groups: dict[str, Groups] = {
            groups.slicing: groups for groups in all_groups(slicings, predictions.slices)
        }
        self.everything = Rows(None, None, np.arange(len(predictions)))
        self._drawn: dict[str, dict[str | None, NDArray[np.float64]]] = {}
        self._known: dict[tuple[Metric, str | None, str | None], Compared | None] = {}

    @property
    def has_champion(self) -> bool:
        """Whether there is a champion to compare with."""
        return self.predictions.champion is not None

    def rows(self, slicing: str | None) -> tuple[Rows, ...]:
        """The groups of a slicing, most rows first; without one, all rows."""
        if slicing is None:
            return (self.everything,)
        groups = self.groups[slicing]
        found = [Rows(slicing, v, groups.rows(n)) for n, v in enumerate(groups.values)]
        return tuple(sorted(found, key=lambda rows: (-len(rows), str(rows.value))))

    def measure(self, metric: Metric, rows: Rows) -> Compared | None:
        """One metric of one group; None where its rows do not define it.

        The same rows, settings and seed give the same numbers, whatever was measured before.
        """
        key = (metric, rows.slicing, rows.value)
        if key not in self._known:
            self._known[key] = self._measure(metric, rows)
        return self._known[key]

    def _measure(self, metric: Metric, rows: Rows) -> Compared | None:
        if not len(rows):
            return None
        if metric is Metric.ACCURACY:
            return self._accuracy(rows)
        if metric is Metric.FLIP_RATE:
            return self._flips(rows)
        values, replicates = self._replicated(metric, rows)
        if not np.isfinite(values[_OURS]):
            return None
        return _compared(metric, values, replicates)

    # Values [models] and replicates [replicates, models] of each kind of metric.

    def _replicated(
        self, metric: Metric, rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if metric in (Metric.AUC, Metric.PR_AUC):
            return self._ranking(metric, rows)
        if metric is Metric.LOG_LOSS:
            values = self._losses[rows.at]
            return values.mean(axis=0), resampling.means(
                self._rng(metric, rows), values, self._count
            )
        if metric is Metric.CALIBRATION_ERROR:
            return self._calibration(rows)
        if metric is Metric.CALIBRATION_GAP:
            return self._calibration_gap(rows)
        if metric in _GAPS:
            return self._gap(metric, rows)
        return self._rate(metric, rows)

    def _ranking(
        self, metric: Metric, rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ones, scores = self._ones[rows.at], [each[rows.at] for each in self.scores]
        values = np.array([getattr(Steps.count(ones, each), metric) for each in scores])
        if not np.isfinite(values[_OURS]):
            return values, values[None]
        models = resampling.rankings(ones, scores)
        rng = self._rng(metric, rows)
        return values, resampling.ranked(rng, metric, models, len(rows), self._count)

    def _rate(self, metric: Metric, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        def rates(table: Counts) -> NDArray[np.float64]:
            name = _RATES[metric]
            return np.stack([getattr(o, name) for o in self._outcomes(table)], axis=-1)

        table = self._table(rows.at)
        return rates(table), rates(draw_counts(self._rng(metric, rows), table, self._count))

    def _gap(self, metric: Metric, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gap = _GAPS[metric]

        def gaps(group: Counts, rest: Counts) -> NDArray[np.float64]:
            pairs = zip(self._outcomes(group), self._outcomes(rest), strict=True)
            return np.stack([gap(a, b) for a, b in pairs], axis=-1)

        rng, inside = self._rng(metric, rows), self._table(rows.at)
        outside = self._whole_table - inside
        drawn = [draw_counts(rng, table, self._count) for table in (inside, outside)]
        return gaps(inside, outside), gaps(*drawn)

    def _calibration(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        ones, models = self._ones[rows.at], len(self.scores)
        by_bin = np.zeros((len(rows), models, BINS))
        for model, scores in enumerate(self.scores):
            double = scores[rows.at].astype(np.float64)
            by_bin[np.arange(len(rows)), model, bins_of(double)] = double - ones

        def errors(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
            excess = np.abs(drawn[:, :-1].reshape(-1, models, BINS)).sum(axis=-1)
            return ratio(excess, drawn[:, -1:])

        flat = by_bin.reshape(len(rows), models * BINS)
        drawn = resampling.sums(self._rng(Metric.CALIBRATION_ERROR, rows), flat, self._count)
        once: NDArray[np.float64] = np.append(flat.sum(axis=0), len(rows))
        return errors(once[None])[0], errors(drawn)

    def _calibration_gap(self, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if rows.slicing is None or len(rows) == len(self.predictions):
            return np.full(len(self.scores), np.nan), np.full((1, len(self.scores)), np.nan)

        def gaps(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
            first, second = (ratio(s[..., :-1], s[..., -1:]) for s in (inside, outside))
            return first - second

        excess = np.column_stack([self._excess, np.ones(len(self.predictions))])
        once = excess[rows.at].sum(axis=0)
        drawn = self._excess_drawn(rows.slicing)
        inside = drawn[rows.value]
        return gaps(once, excess.sum(axis=0) - once), gaps(inside, sum(drawn.values()) - inside)

    def _excess_drawn(self, slicing: str) -> dict[str | None, NDArray[np.float64]]:
        """By group of a slicing (None: rows in no group), replicates of the sums of ``_excess``."""
        if slicing not in self._drawn:
            groups = self.groups[slicing]
            nobody = Rows(slicing, None, groups.rows(NO_GROUP))
            self._drawn[slicing] = {
                rows.value: resampling.sums(
                    self._rng(Metric.CALIBRATION_GAP, rows), self._excess[rows.at], self._count
                )
                for rows in (*self.rows(slicing), nobody)
            }
        return self._drawn[slicing]

    @cached_property
    def _excess(self) -> NDArray[np.float64]:
        """Each row's score less its label, shape [rows, models]."""
        return np.stack(self.scores, axis=1).astype(np.float64) - self._ones[:, None]

    # Shares of rows, which have exact bounds.

    def _accuracy(self, rows: Rows) -> Compared:
        right = [r[rows.at] for r in self.right]
        ours = Proportion(int(right[_OURS].sum()), len(rows))
        if len(right) == 1:
            return Compared(ours)
        better, worse = right[_OURS] & ~right[_THEIRS], right[_THEIRS] & ~right[_OURS]
        paired = PairedProportion(int(better.sum()), int(worse.sum()), len(rows))
        return Compared(ours, Proportion(int(right[_THEIRS].sum()), len(rows)), paired)

    def _flips(self, rows: Rows) -> Compared | None:
        if len(self.decisions) == 1:
            return None
        flipped = self.decisions[_OURS][rows.at] != self.decisions[_THEIRS][rows.at]
        return Compared(Proportion(int(flipped.sum()), len(rows)))

    # What the table gives, once.

    @cached_property
    def scores(self) -> list[NDArray[np.float32]]:
        """The candidate's scores, then the champion's where there is one."""
        both = (self.predictions.candidate, self.predictions.champion)
        return [scores for scores in both if scores is not None]

    @cached_property
    def _ones(self) -> NDArray[np.bool_]:
        return self.predictions.labels == 1

    @cached_property
    def decisions(self) -> list[NDArray]:
        """By model: whether each row is selected, or its likeliest class."""
        if self.predictions.classes:
            return [scores.argmax(axis=1) for scores in self.scores]
        return [selected(scores, self.threshold(scores)) for scores in self.scores]

    def threshold(self, scores: NDArray[np.float32]) -> float:
        """From which score on a row is selected."""
        rate = self.measuring.rate
        return self.measuring.threshold if rate is None else threshold_at_rate(scores, rate)

    @cached_property
    def right(self) -> list[NDArray[np.bool_]]:
        """By model: whether each row is decided as its label says."""
        truth = self.predictions.labels if self.predictions.classes else self._ones
        return [decided == truth for decided in self.decisions]

    @cached_property
    def _losses(self) -> NDArray[np.float64]:
        """Each row's log loss, shape [rows, models]."""
        numbers = np.arange(len(self.predictions))
        if self.predictions.classes:
            own = [s[numbers, self.predictions.labels.astype(int)] for s in self.scores]
        else:
            own = [np.where(self._ones, s, 1 - s.astype(np.float64)) for s in self.scores]
        chances = np.stack(own, axis=1).astype(np.float64)
        return -np.log(np.clip(chances, LOG_LOSS_EPSILON, 1 - LOG_LOSS_EPSILON))

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        """Each row's cell: label, decision of each model."""
        return np.ravel_multi_index(
            (self._ones.astype(int), *(d.astype(int) for d in self.decisions)), self._cell_shape
        )

    @property
    def _cell_shape(self) -> tuple[int, ...]:
        return (2,) * (1 + len(self.scores))

    def _table(self, at: NDArray[np.intp]) -> NDArray[np.int64]:
        """How many rows have which label and decisions, shape [label, candidate, champion]."""
        size = int(np.prod(self._cell_shape))
        return np.bincount(self._cells[at], minlength=size).reshape(self._cell_shape)

    @cached_property
    def _whole_table(self) -> NDArray[np.int64]:
        return self._table(self.everything.at)

    def _outcomes(self, table: Counts) -> list[Outcomes]:
        """Each model's outcomes from tables of shape [..., label, candidate, champion]."""
        models = len(self.scores)
        found = []
        for model in range(models):
            others = tuple(axis - models for axis in range(models) if axis != model)
            c = table.sum(axis=others)
            found.append(Outcomes(c[..., 1, 1], c[..., 0, 1], c[..., 1, 0], c[..., 0, 0]))
        return found

    @property
    def _count(self) -> int:
        return self.measuring.replicates

    def _rng(self, metric: Metric, rows: Rows) -> np.random.Generator:
        return generator(self.measuring.seed, metric, rows.slicing or "", rows.value or "")


def _compared(
    metric: Metric, values: NDArray[np.float64], replicates: NDArray[np.float64]
) -> Compared:
    ours = Bootstrapped(float(values[_OURS]), spread(replicates[:, _OURS]))
    if len(values) == 1 or not np.isfinite(values[_THEIRS]):
        return Compared(ours)
    theirs = Bootstrapped(float(values[_THEIRS]), spread(replicates[:, _THEIRS]))
    if metric.is_fairness and metric is not Metric.SELECTION_RATE_RATIO:
        values, replicates = np.abs(values), np.abs(replicates)
    difference = Bootstrapped(
        float(values[_OURS] - values[_THEIRS]),
        spread(replicates[:, _OURS] - replicates[:, _THEIRS]),
    )
    return Compared(ours, theirs, difference)
