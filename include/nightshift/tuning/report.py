"""The report of a search: how the best loss fell, every trial, what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nightshift.definition.training import Scalar
from nightshift.reports.page import (
    Badge,
    Bar,
    Cell,
    Figure,
    Section,
    Table,
    Text,
    Verdict,
    render_page,
)
from nightshift.tuning.result import TrialResult

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 20, 44
_VERDICTS = {"complete": Verdict.PASSED, "pruned": Verdict.SKIPPED, "fail": Verdict.FAILED}


def report_html(
    subtitle: str,
    trials: Sequence[TrialResult],
    best: TrialResult,
    unchanged: TrialResult,
    importances: Mapping[str, float],
) -> str:
    """The page.

    Args:
        subtitle: Pipeline and night.
        trials: All that were started.
        best: The one whose parameters training gets.
        unchanged: The one with the parameters of pipeline.yaml.
        importances: Share of each parameter; may be empty.
    """
    sections = [
        Section("Outcome", [Text(_outcome(best, unchanged)), _changes(best, unchanged)]),
        Section("Trials over time", [Figure(_figure(trials, unchanged), _CAPTION)]),
    ]
    if importances:
        rows = [(name, Bar(share, share)) for name, share in importances.items()]
        table = Table(("parameter", "share"), rows, "Of the differences in loss (PED-ANOVA).")
        sections.append(Section("What mattered", [table]))
    names = tuple(best.parameters)
    columns = ("trial", "state", *names, "validation loss", "epochs", "seconds", "remark")
    rows_ = [_row(trial, best, names) for trial in trials]
    sections.append(Section("Every trial", [Table(columns, rows_)]))
    return render_page("Search", subtitle, Verdict.INFO, sections)


_CAPTION = (
    "Mean validation loss of each trial's last epoch, in nats. Filled: came to its end; hollow: "
    "pruned. The line is the best so far, the dashed one the parameters of pipeline.yaml."
)


def _outcome(best: TrialResult, unchanged: TrialResult) -> str:
    assert best.loss is not None and unchanged.loss is not None
    if best.number == unchanged.number:
        return (
            f"Nothing was better than the parameters of pipeline.yaml: validation loss "
            f"{unchanged.loss:.5f}. Training uses them."
        )
    return (
        f"Trial {best.number} has a validation loss of {best.loss:.5f}, the parameters of "
        f"pipeline.yaml have {unchanged.loss:.5f}: {unchanged.loss - best.loss:.5f} less. "
        "Training uses the trial's parameters."
    )


def _changes(best: TrialResult, unchanged: TrialResult) -> Table:
    rows = [(name, unchanged.parameters[name], value) for name, value in best.parameters.items()]
    return Table(("parameter", "pipeline.yaml", "best"), rows)


def _row(trial: TrialResult, best: TrialResult, names: Sequence[str]) -> Sequence[Cell]:
    remark = "pipeline.yaml" if trial.unchanged else trial.reason
    if trial.number == best.number:
        remark = f"best; {remark}".rstrip("; ")
    values: list[Scalar | None] = [trial.parameters.get(name) for name in names]
    return (
        trial.number,
        Badge(_VERDICTS.get(trial.state, Verdict.INFO), trial.state),
        *values,
        trial.loss,
        len(trial.losses),
        round(trial.seconds, 1),
        remark,
    )


def _figure(trials: Sequence[TrialResult], unchanged: TrialResult) -> str:
    shown = [trial for trial in trials if trial.loss is not None and trial.state != "fail"]
    losses = sorted(trial.loss or 0.0 for trial in shown)
    low, high = losses[0], max(losses[(len(losses) * 9) // 10], unchanged.loss or 0.0)
    high = high if high > low else low + 1e-6
    last = max(trial.number for trial in shown) or 1

    def x(number: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * number / last

    def y(loss: float) -> float:
        share = (min(loss, high) - low) / (high - low)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)

    dots: list[str] = []
    line: list[str] = []
    best: float | None = None
    for trial in shown:
        assert trial.loss is not None
        fill = "currentColor" if trial.state == "complete" else "none"
        title = f"trial {trial.number}: {trial.loss:.5f}"
        dots.append(
            f'<circle cx="{x(trial.number):.1f}" cy="{y(trial.loss):.1f}" r="5" fill="{fill}" '
            f'stroke="currentColor"><title>{escape(title)}</title></circle>'
        )
        if trial.state == "complete" and (best is None or trial.loss < best):
            best = trial.loss
            line.append(f"{'H' if line else 'M'}{x(trial.number):.1f}")
            line.append(f"V{y(best):.1f}" if len(line) > 1 else f" {y(best):.1f}")
    floor = _HEIGHT - _BOTTOM
    base = y(unchanged.loss or 0.0)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" style="max-width:{_WIDTH}px">'
        "<style>text{font:12px system-ui;fill:currentColor}</style>"
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH - _RIGHT}" fill="none" stroke="currentColor" '
        f'opacity=".5"/><path d="M{_LEFT} {base:.1f}H{_WIDTH - _RIGHT}" fill="none" '
        'stroke="currentColor" stroke-dasharray="4 4" opacity=".6"/>'
        f'<path d="{"".join(line)}H{_WIDTH - _RIGHT}" fill="none" stroke="currentColor" '
        f'stroke-width="1.5"/>{"".join(dots)}'
        f'<text x="{_LEFT - 6}" y="{y(high) + 4:.0f}" text-anchor="end">{high:.4f}</text>'
        f'<text x="{_LEFT - 6}" y="{y(low) + 4:.0f}" text-anchor="end">{low:.4f}</text>'
        f'<text x="{_LEFT}" y="{floor + 16}">0</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{floor + 16}" text-anchor="end">{last}</text>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{floor + 32}" text-anchor="middle">trial'
        "</text></svg>"
    )
