"""The gate report: one page that answers "why was this released", or why it was not."""

from __future__ import annotations

from nightshift.evaluation.result import Evaluation
from nightshift.gates.facts import Facts
from nightshift.gates.result import GateResult
from nightshift.gates.rules import Judgement, Ruling
from nightshift.gates.verdict import GateVerdict
from nightshift.reports.page import Badge, Cell, Section, Table, Text, Verdict, render_page

_ORDER = (Ruling.FAILED, Ruling.INCONCLUSIVE, Ruling.PASSED, Ruling.SKIPPED)
_BADGES = {
    Ruling.FAILED: Verdict.FAILED,
    Ruling.INCONCLUSIVE: Verdict.WARNING,
    Ruling.PASSED: Verdict.PASSED,
    Ruling.SKIPPED: Verdict.SKIPPED,
}
_PAGE = {
    GateVerdict.PASSED: Verdict.PASSED,
    GateVerdict.INCONCLUSIVE: Verdict.WARNING,
    GateVerdict.FAILED: Verdict.FAILED,
}
_COLUMNS = (
    *("ruling", "rule", "group", "rows", "candidate", "champion", "measured", "interval"),
    *("limit", "how sure", "why"),
)


def render(evaluation: Evaluation, result: GateResult, facts: Facts) -> str:
    """The report as HTML."""
    ordered = sorted(result.judgements, key=lambda judgement: _ORDER.index(judgement.ruling))
    deciding = [j for j in ordered if j.ruling is not Ruling.SKIPPED]
    skipped = [j for j in ordered if j.ruling is Ruling.SKIPPED]
    sections = [
        Section("Verdict", [Text(_verdict(evaluation, result))]),
        Section("Rules", [_table(deciding), Text(_READING)]),
        Section("The night", [_facts(facts), *_warnings(facts)]),
    ]
    if skipped:
        title = f"Not judged: {len(skipped)} groups with too few rows, or nothing to compare with"
        sections.append(Section(title, [_table(skipped)], folded=True))
    subtitle = f"{evaluation.pipeline}, night of {evaluation.night}"
    return render_page("Gate", subtitle, _PAGE[result.verdict], sections)


_READING = (
    "A rule passes where its whole interval is on the good side of the limit, and fails where the "
    "whole interval is on the bad side; with the limit inside, the rows allow neither claim and a "
    "person decides. By slice, a failure needs more confidence the more groups were looked at, for "
    "any of many may look bad by chance."
)


def _verdict(evaluation: Evaluation, result: GateResult) -> str:
    counts = ", ".join(f"{sum(j.ruling is r for j in result.judgements)} {r}" for r in _ORDER)
    outcome = {
        GateVerdict.PASSED: "The candidate may be released.",
        GateVerdict.INCONCLUSIVE: "A person decides; until then what serves now goes on serving.",
        GateVerdict.FAILED: "The candidate is not released; what serves now goes on serving.",
    }[result.verdict]
    return f"{outcome}\nRules: {counts}.\n{_against(evaluation)}"


def _against(evaluation: Evaluation) -> str:
    if evaluation.champion_version is not None:
        return f"Compared with champion version {evaluation.champion_version}, on the same rows."
    return (
        f"No comparison with a champion: {evaluation.no_champion}. Floors and ceilings decided "
        "alone."
    )


def _table(judgements: list[Judgement]) -> Table | Text:
    if not judgements:
        return Text("None.")
    return Table(_COLUMNS, [_row(judgement) for judgement in judgements])


def _row(judgement: Judgement) -> list[Cell]:
    label = f"{judgement.ruling}{' (warning only)' if judgement.warn_only else ''}"
    return [
        Badge(_BADGES[judgement.ruling], label),
        judgement.rule,
        judgement.scope,
        judgement.rows,
        judgement.candidate,
        judgement.champion,
        judgement.measured,
        _interval(judgement),
        f"{judgement.bound}\N{NO-BREAK SPACE}{judgement.limit:.6g}",
        judgement.method,
        judgement.reason,
    ]


def _interval(judgement: Judgement) -> str | None:
    if judgement.low is None or judgement.high is None or judgement.low == judgement.high:
        return None
    return f"{judgement.low:.4g} to {judgement.high:.4g} at {judgement.confidence:.0%}"


def _facts(facts: Facts) -> Table:
    rows: list[list[Cell]] = [[m.display_name, v] for m, v in facts.numbers.items()]
    if facts.drifted:
        rows.append(["column whose holdout drifted most", facts.drifted])
    return Table(("fact", "value"), rows)


def _warnings(facts: Facts) -> list[Text]:
    if not facts.warnings:
        return [Text("The data report warns of nothing.")]
    lines = "\n".join(f"- {warning}" for warning in facts.warnings)
    return [Text(f"The data report warns:\n{lines}")]
