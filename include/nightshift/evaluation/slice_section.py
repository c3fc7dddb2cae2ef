"""Slices in the evaluation report: a forest plot of the differences, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightshift.definition.gates import Metric
from nightshift.evaluation.result import Evaluation, Group, Interval
from nightshift.reports.forest_figure import Axis, Mark, Row, forest_figure
from nightshift.reports.page import Bar, Block, Cell, Figure, Section, Table, Text

_MOST_DRAWN = 40


def slice_sections(evaluation: Evaluation) -> Iterator[Section]:
    """One section per slicing, and one folded with every group's numbers."""
    for name in dict.fromkeys(group.slice for group in evaluation.slices if group.slice):
        groups = evaluation.groups(name)
        table = _table(evaluation, name, groups)
        if evaluation.champion_version is None:
            yield Section(f"By {name}", [table])
            continue
        yield Section(f"By {name}", list(_drawn(evaluation, groups)))
        yield Section(f"By {name}: the numbers of all {len(groups)} groups", [table], folded=True)


def _drawn(evaluation: Evaluation, groups: Sequence[Group]) -> Iterator[Block]:
    metric = Metric.ACCURACY if evaluation.confusion else Metric.AUC
    judged = [group for group in groups if not group.small]
    rows = [_row(group, metric) for group in (evaluation.overall, *judged[:_MOST_DRAWN])]
    axis = Axis(
        f"{metric.display_name}, candidate less champion",
        left="champion better",
        right="candidate better",
    )
    told = (
        f"Difference in {metric.display_name} with its interval; each end holds at "
        f"{evaluation.confidence:.0%}. Green and red lie on one side of no difference."
    )
    yield Figure(forest_figure(rows, axis), told)
    yield from _left_out(groups, judged)


def _left_out(groups: Sequence[Group], judged: Sequence[Group]) -> Iterator[Block]:
    if len(judged) > _MOST_DRAWN:
        yield Text(f"Drawn are the {_MOST_DRAWN} largest of {len(judged)} groups.")
    small = len(groups) - len(judged)
    if small:
        rows = sum(group.rows for group in groups if group.small)
        yield Text(
            f"Not judged, for too few rows each: {small} of the groups ({rows:,} rows in all)."
        )


def _row(group: Group, metric: Metric) -> Row:
    name = group.value if group.slice else "all rows"
    difference = group.differences.get(metric)
    if difference:
        return Row(str(name), group.rows, [Mark(difference, _style(difference))])
    return Row(str(name), group.rows, note=_why_not(group))


def _style(difference: Interval) -> str:
    if difference.low is not None and difference.low > 0:
        return "good"
    return "bad" if difference.high is not None and difference.high < 0 else "even"


def _why_not(group: Group) -> str:
    return "all rows have one label" if group.one_sided else "not defined"


def _table(evaluation: Evaluation, name: str, groups: Sequence[Group]) -> Table:
    largest = max(group.rows for group in groups)
    compared = evaluation.champion_version is not None
    if evaluation.confusion:
        columns = [name, "rows", "accuracy", "log loss"]
        columns += ["champion's accuracy", "difference"] if compared else []
        return Table(columns, [_class_cells(group, largest) for group in groups])
    columns = [name, "rows", "positive", "AUC", "log loss", "accuracy"]
    columns += ["champion's AUC", "difference"] if compared else []
    return Table(
        columns,
        [_cells(group, largest) for group in groups],
        caption="AUC is empty where all rows of a value have the same label; bars of AUC start "
        "at 0.5, a coin.",
    )


def _cells(group: Group, largest: int) -> list[Cell]:
    ours = group.candidate
    row: list[Cell] = [
        _name(group),
        Bar(group.rows, group.rows / largest),
        f"{(group.positives or 0) / group.rows:.1%}",
        None if ours.auc is None else Bar(round(ours.auc, 4), 2 * ours.auc - 1),
        _rounded(ours.log_loss),
        _rounded(ours.accuracy),
    ]
    if group.champion:
        row += [_rounded(group.champion.auc), _difference(ours.auc, group.champion.auc)]
    return row


def _class_cells(group: Group, largest: int) -> list[Cell]:
    ours = group.candidate
    row: list[Cell] = [
        _name(group),
        Bar(group.rows, group.rows / largest),
        None if ours.accuracy is None else Bar(round(ours.accuracy, 4), ours.accuracy),
        _rounded(ours.log_loss),
    ]
    if group.champion:
        theirs = group.champion.accuracy
        row += [_rounded(theirs), _difference(ours.accuracy, theirs)]
    return row


def _name(group: Group) -> str:
    return f"{group.value} (too few rows)" if group.small else str(group.value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _difference(ours: float | None, theirs: float | None) -> str | None:
    return None if ours is None or theirs is None else f"{ours - theirs:+.4f}"
