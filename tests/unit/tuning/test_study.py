"""A search is gone on with: what ended counts, what was cut off does not and is tried again."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nightshift.definition.training import Training, Tuning
from nightshift.tuning.space import suggested, unchanged
from nightshift.tuning.study import (
    DATABASE,
    finished,
    is_unchanged,
    open_study,
    storage_of,
    take_up,
)

TUNING = Tuning.model_validate(
    {
        "space": {
            "learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
            "global_batch_size": {"choices": [64, 256]},
            "units": {"low": 4, "high": 64, "integer": True},
        },
        "trials": 6,
    }
)
TRAINING = Training(learning_rate=0.01, parameters={"units": 16, "other": "kept"})
AS_IT_IS = {"learning_rate": 0.01, "global_batch_size": 256, "units": 16}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, f"sqlite:///{tmp_path}/optuna.db")


def opened() -> optuna.Study:
    """The study as a new process opens it."""
    return open_study(storage_of(None, ""), "key", TUNING, epochs=3, seed=1)  # type: ignore[arg-type]


def begun(study: optuna.Study) -> tuple[optuna.Trial, dict[str, object]]:
    trial = study.ask()
    return trial, dict(suggested(trial, TUNING.space))


def test_the_parameters_of_the_pipeline_are_tried_first(database: None) -> None:
    study = opened()
    take_up(study, unchanged(TRAINING, TUNING.space))
    first, parameters = begun(study)
    assert parameters == AS_IT_IS
    assert is_unchanged(first)
    assert not is_unchanged(begun(study)[0])


def test_what_was_running_when_an_attempt_died_does_not_count_and_is_tried_again(
    database: None,
) -> None:
    before = opened()
    take_up(before, AS_IT_IS)
    first, _ = begun(before)
    before.tell(first, 0.5)
    _, cut_off = begun(before)  # killed here

    after = opened()
    assert take_up(after, AS_IT_IS) == 1
    assert [trial.number for trial in finished(after)] == [0]
    assert after.trials[1].state is TrialState.FAIL
    again, parameters = begun(after)
    assert parameters == cut_off
    assert not is_unchanged(again)


def test_a_cut_off_first_trial_is_tried_again_as_what_it_was(database: None) -> None:
    before = opened()
    take_up(before, AS_IT_IS)
    begun(before)
    after = opened()
    take_up(after, AS_IT_IS)
    again, parameters = begun(after)
    assert parameters == AS_IT_IS
    assert is_unchanged(again)


def test_a_resumed_search_does_not_draw_again_what_it_drew(database: None) -> None:
    before = opened()
    take_up(before, AS_IT_IS)
    drawn = []
    for loss in (0.5, 0.6, 0.7):
        trial, parameters = begun(before)
        drawn.append(parameters)
        before.tell(trial, loss)
    after = opened()
    take_up(after, AS_IT_IS)
    assert begun(after)[1] not in drawn


def test_the_best_parameters_change_those_alone() -> None:
    tuned = TRAINING.tuned({"learning_rate": 0.002, "units": 8})
    assert (tuned.learning_rate, tuned.parameters) == (0.002, {"units": 8, "other": "kept"})
    assert tuned.global_batch_size == TRAINING.global_batch_size
