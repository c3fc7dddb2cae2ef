"""The evaluation report: candidate beside champion, overall and by slice."""

from __future__ import annotations

from nightshift.definition.gates import MAIN, Metric
from nightshift.evaluation.class_tables import class_tables
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.result import Evaluation, Group
from nightshift.evaluation.roc_figure import Curve, roc_figure
from nightshift.reports.page import Bar, Block, Cell, Figure, Section, Table, Text, render_page


def render(evaluation: Evaluation, predictions: Predictions) -> str:
    """The report as HTML."""
    subtitle = f"{evaluation.pipeline}, night of {evaluation.night}"
    sections = [Section("Overall", _overall(evaluation, predictions))]
    if evaluation.confusion:
        sections.append(Section("By class", class_tables(evaluation.confusion)))
    for name in dict.fromkeys(group.slice for group in evaluation.slices if group.slice):
        sections.append(Section(f"By {name}", [_slice_table(evaluation, name)]))
    return render_page("Evaluation", subtitle, None, sections)


def _overall(evaluation: Evaluation, predictions: Predictions) -> list[Block]:
    group = evaluation.overall
    rows = f"{group.rows:,} holdout rows"
    if group.positives is not None:
        share = group.positives / group.rows
        rows += f", of which {group.positives:,} ({share:.1%}) positive"
    blocks: list[Block] = [Text(f"{rows}."), _comparison(evaluation)]
    if evaluation.no_champion:
        blocks.append(Text(f"No comparison with a champion: {evaluation.no_champion}."))
    if group.positives is not None and not group.one_sided:
        figure = roc_figure(predictions.labels, _curves(evaluation, predictions))
        blocks.append(Figure(figure, "ROC curves; the dotted line is a coin."))
    return blocks


def _comparison(evaluation: Evaluation) -> Table:
    group = evaluation.overall
    metrics = _metrics(group)
    if group.champion is None:
        return Table(
            ("metric", "candidate"), [(m.display_name, group.candidate.of(m)) for m in metrics]
        )
    rows = []
    for metric in metrics:
        ours, theirs = group.candidate.of(metric), group.champion.of(metric)
        rows.append((metric.display_name, ours, theirs, _difference(ours, theirs)))
    header = ("metric", "candidate", f"champion (version {evaluation.champion_version})")
    return Table((*header, "difference"), rows)


def _metrics(group: Group) -> list[Metric]:
    """What is measured of such labels: classes have no ROC curve."""
    return [m for m in MAIN if m is not Metric.AUC or group.positives is not None]


def _curves(evaluation: Evaluation, predictions: Predictions) -> list[Curve]:
    curves: list[Curve] = [("candidate", "one", predictions.candidate)]
    if predictions.champion is not None:
        name = f"champion (version {evaluation.champion_version})"
        curves.append((name, "two", predictions.champion))
    return curves


def _slice_table(evaluation: Evaluation, name: str) -> Table:
    groups = evaluation.groups(name)
    largest = max(group.rows for group in groups)
    if evaluation.confusion:
        return _class_slice_table(evaluation, name, largest)
    columns = [name, "rows", "positive", "AUC", "log loss", "accuracy"]
    if evaluation.champion_version is not None:
        columns += ["champion's AUC", "difference"]
    return Table(
        columns,
        [_slice_row(group, largest) for group in groups],
        caption="AUC is empty where all rows of a value have the same label; bars of AUC start "
        "at 0.5, a coin.",
    )


def _slice_row(group: Group, largest: int) -> list[Cell]:
    ours = group.candidate
    row: list[Cell] = [
        group.value,
        Bar(group.rows, group.rows / largest),
        f"{(group.positives or 0) / group.rows:.1%}",
        None if ours.auc is None else Bar(round(ours.auc, 4), 2 * ours.auc - 1),
        _rounded(ours.log_loss),
        _rounded(ours.accuracy),
    ]
    if group.champion:
        row += [_rounded(group.champion.auc), _difference(ours.auc, group.champion.auc)]
    return row


def _class_slice_table(evaluation: Evaluation, name: str, largest: int) -> Table:
    columns = [name, "rows", "accuracy", "log loss"]
    if evaluation.champion_version is not None:
        columns += ["champion's accuracy", "difference"]
    rows = []
    for group in evaluation.groups(name):
        row: list[Cell] = [group.value, Bar(group.rows, group.rows / largest)]
        row += [_share(group.candidate.accuracy), _rounded(group.candidate.log_loss)]
        if group.champion:
            row += _against(group.candidate.accuracy, group.champion.accuracy)
        rows.append(row)
    return Table(columns, rows)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _difference(ours: float | None, theirs: float | None) -> str | None:
    return None if ours is None or theirs is None else f"{ours - theirs:+.4f}"


def _share(value: float | None) -> Cell:
    return None if value is None else Bar(round(value, 4), value)


def _against(ours: float | None, theirs: float | None) -> list[Cell]:
    return [_rounded(theirs), _difference(ours, theirs)]
