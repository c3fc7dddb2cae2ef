"""A model that is accurate and unfair by sex is stopped; a fairer one passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nightshift.definition.gates import Metric
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.predictions import PREDICTIONS_FILE, Predictions
from nightshift.gates.result import verdict_of
from nightshift.gates.rules import Judgement, Ruling, judge
from nightshift.gates.verdict import GateVerdict
from tests.integration.step_night import StepNight

HARSHER = 0.8
"""By how much the unfair model lowers the log odds of women."""


@pytest.fixture(scope="module")
def fair(night: StepNight, tmp_path_factory: pytest.TempPathFactory) -> Predictions:
    """What the night's own model says of 2016."""
    path: Path = tmp_path_factory.mktemp("fair") / PREDICTIONS_FILE
    path.write_bytes(night.store.read(night.store.open(night.made("evaluate")), PREDICTIONS_FILE))
    return Predictions.read(path, night.definition.sliced)


@pytest.fixture(scope="module")
def unfair(fair: Predictions) -> np.ndarray:
    """The same model, harsher to women: it ranks within each sex as well as before."""
    women = np.array(fair.slices["sex"].to_pylist()) == "female"
    scores = np.clip(fair.candidate.astype(np.float64), 1e-6, 1 - 1e-6)
    odds = np.log(scores / (1 - scores)) - HARSHER * women
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


def _judge(night: StepNight, predictions: Predictions) -> tuple[Judgement, ...]:
    """By the pipeline's rules about everybody and about sex."""
    definition = night.definition
    rules = [rule for rule in definition.gates if rule.slice in (None, "sex")]
    return judge(rules, Comparison(predictions, definition.sensitive, definition.evaluation), {})


def test_an_unfair_candidate_is_stopped_by_group_gap_interval_and_limit(
    night: StepNight, fair: Predictions, unfair: np.ndarray
) -> None:
    judged = _judge(night, replace(fair, candidate=unfair, champion=fair.candidate))
    assert verdict_of(judged) is GateVerdict.FAILED
    about = {(j.metric, j.slice, j.value): j for j in judged if j.limit == abs(j.limit)}
    quality = about[Metric.AUC, None, None]
    assert quality.candidate is not None
    assert quality.candidate > 0.88  # accurate all the same
    women = about[Metric.TPR_GAP, "sex", "female"]
    assert women.ruling is Ruling.FAILED
    assert women.high is not None
    assert women.high < -women.limit
    told = str(women)
    assert "tpr_gap by sex <= 0.03 [sex = female" in told
    assert "limit within ± 0.03: failed" in told
    assert f"({women.low:.6g} to {women.high:.6g} at 95%)" in told


def test_a_fairer_candidate_passes(night: StepNight, fair: Predictions, unfair: np.ndarray) -> None:
    judged = _judge(night, replace(fair, champion=unfair))
    assert [str(j) for j in judged if j.decisive in (Ruling.FAILED, Ruling.INCONCLUSIVE)] == []
    assert verdict_of(judged) is GateVerdict.PASSED
