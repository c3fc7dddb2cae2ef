"""The gate report: every rule with its measured value, its limit and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from nightshift.evaluation.result import Evaluation
from nightshift.gates.rules import Judgement, Ruling
from nightshift.reports.page import Badge, Cell, Section, Table, Text, Verdict, render_page

_COLUMNS = ("ruling", "rule", "group", "rows", "measured", "limit", "champion", "reason")
_ORDER = (Ruling.FAILED, Ruling.PASSED, Ruling.SKIPPED)


def render(evaluation: Evaluation, judgements: Sequence[Judgement], *, passed: bool) -> str:
    """The report as HTML."""
    counts = ", ".join(
        f"{sum(j.ruling is ruling for j in judgements)} {ruling}" for ruling in _ORDER
    )
    if passed:
        outcome = "The candidate may be released."
    else:
        outcome = "The candidate is not released; what serves now goes on serving."
    ordered = sorted(judgements, key=lambda judgement: _ORDER.index(judgement.ruling))
    return render_page(
        "Gate",
        f"{evaluation.pipeline}, night of {evaluation.night}",
        Verdict.PASSED if passed else Verdict.FAILED,
        [
            Section("Verdict", [Text(f"{outcome}\nRules: {counts}.\n{_against(evaluation)}")]),
            Section("Rules", [Table(_COLUMNS, [_row(judgement) for judgement in ordered])]),
        ],
    )


def _against(evaluation: Evaluation) -> str:
    if evaluation.champion_version is not None:
        return f"Compared with champion version {evaluation.champion_version}, on the same rows."
    return f"No comparison with a champion: {evaluation.no_champion}."


def _row(judgement: Judgement) -> list[Cell]:
    limit = (
        None
        if judgement.limit is None
        else f"{judgement.bound}\N{NO-BREAK SPACE}{judgement.limit:.6g}"
    )
    return [
        Badge(Verdict(judgement.ruling.value)),
        judgement.rule,
        judgement.scope,
        judgement.rows,
        judgement.measured,
        limit,
        judgement.champion,
        judgement.reason,
    ]
