"""What an evaluation measured: the content of ``metrics.json``, read by gates and reports."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.definition.gates import Metric

METRICS_FILE = "metrics.json"
CONFIDENCE = 0.95


class Scores(BaseModel):
    """One model's metrics over some rows; None where the rows do not define the metric."""

    model_config = ConfigDict(frozen=True)

    auc: float | None
    """None where all rows have the same label, and where the label has classes."""
    log_loss: float | None
    """In nats."""
    accuracy: float | None
    """Of the rows' decisions; of classes, of the likeliest."""
    pr_auc: float | None = None
    precision: float | None = None
    recall: float | None = None
    calibration_error: float | None = None
    selection_rate: float | None = None
    """These are None where the label has classes, or the rows do not define them."""

    def of(self, metric: Metric) -> float | None:
        """The value of one metric."""
        value: float | None = getattr(self, metric.value)
        return value


class Interval(BaseModel):
    """A measured value and what its rows leave open."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float | None
    high: float | None
    """Bounds, each by itself at the confidence of the evaluation; None where rows give none."""


class Group(BaseModel):
    """Rows measured together: all of them, or those with one value in a slice column."""

    model_config = ConfigDict(frozen=True)

    slice: str | None = None
    """The slice column; None for all rows."""
    value: str | None = None
    """The column's value in these rows, as text."""
    rows: int
    positives: int | None
    """Rows whose label is 1; None where the label has classes."""
    candidate: Scores
    champion: Scores | None = None
    """None where there is no champion to compare with."""
    differences: dict[str, Interval] = {}
    """Candidate less champion by metric; only of groups with enough rows."""
    small: bool = False
    """Fewer rows than ``evaluation.min_slice_size``: shown, not judged."""

    @property
    def title(self) -> str:
        """The group in words."""
        return f"{self.slice} = {self.value}" if self.slice else "all rows"

    @property
    def one_sided(self) -> bool:
        """Whether all rows have the same label, so that no ranking can be measured."""
        return self.positives in (0, self.rows)


class Gap(BaseModel):
    """How one fairness metric treats one group against the rest."""

    model_config = ConfigDict(frozen=True)

    sensitive: str
    value: str
    rows: int
    metric: Metric
    candidate: Interval
    champion: Interval | None = None
    growth: Interval | None = None
    """By how much the gap's size has grown; of a ratio, the difference."""
    small: bool = False
    """As of :class:`Group`."""


class Confusion(BaseModel):
    """How many rows of each class were taken for which: rows by label, columns by answer."""

    model_config = ConfigDict(frozen=True)

    classes: tuple[str, ...]
    candidate: tuple[tuple[int, ...], ...]
    champion: tuple[tuple[int, ...], ...] | None = None

    def accuracy_of(self, number: int) -> float | None:
        """Share of a class's rows that the candidate recognised; None where there are none."""
        return _recognised(self.candidate, number)

    def champion_accuracy_of(self, number: int) -> float | None:
        """The same of the champion; None also where there is none."""
        return None if self.champion is None else _recognised(self.champion, number)


def _recognised(counts: tuple[tuple[int, ...], ...], number: int) -> float | None:
    rows = sum(counts[number])
    return counts[number][number] / rows if rows else None


class Evaluation(BaseModel):
    """A candidate on a night's holdout, and the champion beside it."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    night: date
    overall: Group
    slices: tuple[Group, ...]
    """In order of slice column, then rows, most first."""
    champion_version: int | None = None
    """The version compared with; None where there was none that could be asked."""
    no_champion: str = ""
    """Why there is nothing to compare with, in words."""
    confusion: Confusion | None = None
    """None where the label is 0 or 1."""
    gaps: tuple[Gap, ...] = ()
    """Of every sensitive feature, group and fairness metric that the rows define."""
    flips: dict[str, dict[str, float]] = {}
    """By sensitive feature and group: share of rows that the two models decide differently."""
    confidence: float = CONFIDENCE
    """Of each bound of every interval, by itself."""

    def groups(self, slice_: str | None) -> tuple[Group, ...]:
        """The groups that a rule with this slice is about."""
        if slice_ is None:
            return (self.overall,)
        return tuple(group for group in self.slices if group.slice == slice_)
