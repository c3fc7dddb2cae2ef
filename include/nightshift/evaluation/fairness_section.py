"""Fairness in the evaluation report: each group's gaps, of candidate and champion side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightshift.definition.gates import FAIRNESS, Metric
from nightshift.evaluation.result import Evaluation, Gap, Interval
from nightshift.reports.forest_figure import Axis, Mark, Row, forest_figure, interval_text
from nightshift.reports.page import Block, Cell, Figure, Section, Table, Text

_MOST_DRAWN = 20
_MEANING = {
    Metric.SELECTION_RATE_RATIO: "share selected, over that of the rest",
    Metric.SELECTION_RATE_GAP: "share selected, less that of the rest",
    Metric.TPR_GAP: "share selected of label 1, less that of the rest",
    Metric.FPR_GAP: "share selected of label 0, less that of the rest",
    Metric.CALIBRATION_GAP: "mean score less share of label 1, less that of the rest",
}
FOUR_FIFTHS = 0.8
"""Below it, a selection rate's ratio is the usual sign of adverse impact (29 CFR 1607.4 D)."""


def fairness_sections(evaluation: Evaluation) -> Iterator[Section]:
    """One section per sensitive feature, and one folded with its numbers."""
    for name in dict.fromkeys(gap.sensitive for gap in evaluation.gaps):
        gaps = [gap for gap in evaluation.gaps if gap.sensitive == name]
        blocks: list[Block] = [Text(_told(evaluation))]
        for metric in FAIRNESS:
            of_metric = [gap for gap in gaps if gap.metric is metric]
            if of_metric:
                blocks.append(_figure(evaluation, metric, of_metric))
        yield Section(f"Fairness by {name}", blocks)
        table = _table(evaluation, name, gaps)
        yield Section(f"Fairness by {name}: the numbers", [table], folded=True)


def _told(evaluation: Evaluation) -> str:
    return (
        "Each group against all other rows. Candidate above, champion below; each end of an "
        f"interval holds at {evaluation.confidence:.0%}."
        if evaluation.champion_version is not None
        else "Each group against all other rows; each end of an interval holds at "
        f"{evaluation.confidence:.0%}."
    )


def _figure(evaluation: Evaluation, metric: Metric, gaps: Sequence[Gap]) -> Figure:
    ratio = metric is Metric.SELECTION_RATE_RATIO
    axis = Axis(
        metric.display_name,
        reference=1.0 if ratio else 0.0,
        left="group lower",
        right="group higher",
        limits=(FOUR_FIFTHS,) if ratio else (),
        signed=not ratio,
    )
    rows = [_row(gap) for gap in gaps[:_MOST_DRAWN]]
    told = f"{metric.display_name}: {_MEANING[metric]}."
    if ratio:
        told += " Dashed: four fifths."
    return Figure(forest_figure(rows, axis, _series(evaluation)), told)


def _series(evaluation: Evaluation) -> list[tuple[str, str]]:
    if evaluation.champion_version is None:
        return [("one", "candidate")]
    return [("one", "candidate"), ("two", f"champion (version {evaluation.champion_version})")]


def _row(gap: Gap) -> Row:
    if gap.small:
        return Row(gap.value, gap.rows, note="too few rows to judge")
    both = ((gap.candidate, "one"), (gap.champion, "two"))
    return Row(gap.value, gap.rows, [Mark(of, style) for of, style in both if of is not None])


def _table(evaluation: Evaluation, name: str, gaps: Sequence[Gap]) -> Table:
    columns = [name, "rows", "metric", "candidate"]
    if evaluation.champion_version is not None:
        columns += ["champion", "growth of the gap", "decided otherwise"]
    flips = evaluation.flips.get(name, {})
    rows = []
    for gap in gaps:
        signed = gap.metric is not Metric.SELECTION_RATE_RATIO
        row: list[Cell] = [gap.value, gap.rows, gap.metric.display_name]
        row.append(_cell(gap.candidate, signed=signed))
        if evaluation.champion_version is not None:
            flipped = flips.get(gap.value)
            share = None if flipped is None else f"{flipped:.1%}"
            row += [_cell(gap.champion, signed=signed), _cell(gap.growth), share]
        rows.append(row)
    caption = "Growth is of the gap's size; of a ratio, the difference. Decided otherwise: the "
    return Table(columns, rows, caption + "share of rows that one of the two models alone selects.")


def _cell(interval: Interval | None, *, signed: bool = True) -> str | None:
    return None if interval is None else interval_text(interval, signed=signed)
