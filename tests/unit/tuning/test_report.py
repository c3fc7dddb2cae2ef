"""The report of a search says what was better, and by how much."""

from __future__ import annotations

from datetime import UTC, datetime

from nightshift.tuning.report import report_html
from nightshift.tuning.result import TrialResult

MOMENT = datetime(2013, 8, 31, tzinfo=UTC)


def trial(number: int, *losses: float, state: str = "complete", reason: str = "") -> TrialResult:
    return TrialResult(
        number=number,
        state=state,
        parameters={"learning_rate": 0.001 * (number + 1)},
        unchanged=number == 0,
        losses=losses,
        reason=reason,
        began=MOMENT,
        ended=MOMENT,
    )


def page(trials: list[TrialResult], best: TrialResult) -> str:
    return report_html("small, night of 2013-08-31", trials, best, trials[0], {"learning_rate": 1})


def test_it_names_the_better_trial_and_the_difference() -> None:
    trials = [trial(0, 0.6, 0.5), trial(1, 0.7, state="pruned"), trial(2, 0.5, 0.25)]
    text = page(trials, trials[2])
    assert "Trial 2 has a validation loss of 0.25000" in text
    assert "0.25000 less" in text
    assert text.count("<circle") == 3


def test_it_says_so_where_nothing_was_better() -> None:
    trials = [trial(0, 0.5), trial(1, 0.6)]
    assert "Nothing was better than the parameters of pipeline.yaml" in page(trials, trials[0])


def test_what_a_trial_says_cannot_become_part_of_the_page() -> None:
    trials = [trial(0, 0.5), trial(1, state="fail", reason="<script>alert(1)</script>")]
    text = page(trials, trials[0])
    assert "<script>" not in text
    assert "http" not in text.replace("http-equiv", "")
