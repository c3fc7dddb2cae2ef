"""The evaluation report: candidate beside champion, for a reader who knows neither Nightshift nor
the night."""

from __future__ import annotations

from nightshift.definition.gates import QUALITY, Metric
from nightshift.evaluation.calibration import reliability
from nightshift.evaluation.change_section import change_section
from nightshift.evaluation.class_tables import class_tables
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.fairness_section import fairness_sections
from nightshift.evaluation.glossary import glossary
from nightshift.evaluation.reliability_figure import reliability_figure
from nightshift.evaluation.result import Evaluation, Group
from nightshift.evaluation.roc_figure import Curve, roc_figure
from nightshift.evaluation.slice_section import slice_sections
from nightshift.reports.forest_figure import interval_text
from nightshift.reports.page import Block, Cell, Figure, Figures, Section, Table, Text, render_page

_SHOWN = (*QUALITY, "selection_rate")
"""Metrics of one model, and how often it selects."""


def render(evaluation: Evaluation, comparison: Comparison) -> str:
    """The report as HTML.

    Args:
        evaluation: What was measured.
        comparison: What it was measured of.
    """
    subtitle = f"{evaluation.pipeline}, night of {evaluation.night}"
    sections = [Section("Overall", _overall(evaluation, comparison))]
    if evaluation.confusion:
        sections.append(Section("By class", class_tables(evaluation.confusion)))
    sections += slice_sections(evaluation)
    sections += fairness_sections(evaluation)
    if comparison.has_champion:
        sections.append(change_section(comparison))
    sections.append(glossary(evaluation))
    return render_page("Evaluation", subtitle, None, sections)


def _overall(evaluation: Evaluation, comparison: Comparison) -> list[Block]:
    group = evaluation.overall
    rows = f"{group.rows:,} holdout rows"
    if group.positives is not None:
        share = group.positives / group.rows
        rows += f", of which {group.positives:,} ({share:.1%}) positive"
    blocks: list[Block] = [Text(f"{rows}."), _table(evaluation)]
    if evaluation.no_champion:
        blocks.append(Text(f"No comparison with a champion: {evaluation.no_champion}."))
    blocks.append(Figures(_figures(evaluation, comparison)))
    return blocks


def _table(evaluation: Evaluation) -> Table:
    group = evaluation.overall
    header = ["metric", "candidate"]
    if group.champion is not None:
        header += [f"champion (version {evaluation.champion_version})", "difference"]
    return Table(header, [_row(name, group) for name in _SHOWN if _known(name, group)])


def _known(name: str, group: Group) -> bool:
    return getattr(group.candidate, name) is not None


def _row(name: str, group: Group) -> list[Cell]:
    ours = getattr(group.candidate, name)
    row: list[Cell] = [_display(name), ours]
    if group.champion is not None:
        theirs = getattr(group.champion, name)
        interval = group.differences.get(name)
        row.append(theirs)
        if interval:
            row.append(interval_text(interval))
        else:
            row.append(None if theirs is None else f"{ours - theirs:+.4f}")
    return row


def _display(name: str) -> str:
    return Metric(name).display_name if name in list(Metric) else name.replace("_", " ")


def _figures(evaluation: Evaluation, comparison: Comparison) -> list[Figure]:
    predictions = comparison.predictions
    curves = _curves(evaluation, comparison)
    figures = []
    if not predictions.classes and not evaluation.overall.one_sided:
        figures.append(
            Figure(roc_figure(predictions.labels, curves), "ROC curves; the dotted line is a coin.")
        )
    models = [(name, style, reliability(predictions.labels, of)) for name, style, of in curves]
    axes = ("predicted", "share that has label 1")
    if predictions.classes:
        axes = ("chance given to the likeliest class", "share in which it is right")
    plot = reliability_figure(models, evaluation.confidence, axes)
    told = (
        "Reliability: rows in ten bins by what is predicted. On the dotted line what is predicted "
        f"happens as often; each end of a bar holds at {evaluation.confidence:.0%}. On the ground, "
        "how many rows each bin has."
    )
    return [*figures, Figure(plot, told)]


def _curves(evaluation: Evaluation, comparison: Comparison) -> list[Curve]:
    predictions = comparison.predictions
    curves: list[Curve] = [("candidate", "one", predictions.candidate)]
    if predictions.champion is not None:
        name = f"champion (version {evaluation.champion_version})"
        curves.append((name, "two", predictions.champion))
    return curves
