"""Agreement: what two measurements of one night have in common, and where they differ."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from nightshift.definition.gates import Measuring
from nightshift.definition.slicing import Slicing
from nightshift.evaluation.agreement import EVERYWHERE, Pair, Values, Where, largest, pairs
from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.measure import measure
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.result import Evaluation

SEX = Slicing.model_validate("sex")


@pytest.fixture(scope="module")
def ours() -> Evaluation:
    draw = np.random.default_rng(2)
    scores = draw.random((2, 600)).astype(np.float32)
    predictions = Predictions(
        labels=(draw.random(600) < scores[0]).astype(np.float32),
        slices={"sex": pa.array(draw.choice(["F", "M"], 600).tolist())},
        candidate=scores[0],
        champion=scores[1],
    )
    measured = Comparison(predictions, (SEX,), Measuring(replicates=200))
    return measure(
        measured,
        slices=(),
        sensitive=(SEX,),
        pipeline="people",
        night=date(2018, 1, 1),
        champion_version=1,
        no_champion="",
    )


@pytest.fixture
def theirs(ours: Evaluation) -> dict[Where, dict[tuple[str, str], float]]:
    """What TFMA would say if it agreed to the last digit."""
    values: dict[Where, dict[tuple[str, str], float]] = {}
    for group in (ours.overall, *ours.slices):
        found = values.setdefault((group.slice, group.value), {})
        for model, scores in (("candidate", group.candidate), ("champion", group.champion)):
            assert scores is not None and group.positives is not None
            found[model, "rows"] = group.rows
            tp = round((scores.recall or 0) * group.positives)
            selected = round((scores.selection_rate or 0) * group.rows)
            counts = {"tp": tp, "fn": group.positives - tp, "fp": selected - tp}
            counts["tn"] = group.rows - sum(counts.values())
            found |= {(model, name): float(count) for name, count in counts.items()}
            for name, value in scores.model_dump().items():
                found[model, name] = math.nan if value is None else value
        if group.slice:
            found["candidate", "flip_rate"] = ours.flips["sex"][str(group.value)]
    return values


def _disagreeing(ours: Evaluation, theirs: dict[Where, Values]) -> list[str]:
    return [pair.title for pair in pairs(ours, theirs) if not pair.agrees]


def test_equal_measurements_agree_on_every_metric_group_and_gap(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    compared = list(pairs(ours, theirs))
    assert _disagreeing(ours, theirs) == []
    names = {pair.metric for pair in compared}
    assert names == {
        *("rows", "positives", "auc", "pr_auc", "log_loss", "accuracy", "precision", "recall"),
        *("calibration_error", "selection_rate", "selection_rate_ratio", "selection_rate_gap"),
        *("tpr_gap", "fpr_gap", "flip_rate"),
    }
    assert {(p.slice, p.value) for p in compared} == {EVERYWHERE, ("sex", "F"), ("sex", "M")}


@pytest.mark.parametrize("name", ["rows", "recall", "accuracy", "calibration_error", "flip_rate"])
def test_a_rate_of_one_group_off_by_two_millionths_disagrees(name, ours, theirs) -> None:  # type: ignore[no-untyped-def]
    theirs["sex", "F"]["candidate", name] += 2e-6
    assert _disagreeing(ours, theirs) == [f"{name} of candidate [sex = F]"]


def test_a_count_moved_from_one_group_to_another_shows_in_its_gaps(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    theirs["sex", "M"]["champion", "tp"] += 1
    theirs["sex", "M"]["champion", "fn"] -= 1
    assert "tpr_gap of champion [sex = M]" in _disagreeing(ours, theirs)


def test_areas_are_judged_over_all_rows_alone(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    theirs["sex", "F"]["candidate", "auc"] += 0.01
    theirs[EVERYWHERE]["champion", "pr_auc"] += 0.9e-4
    assert _disagreeing(ours, theirs) == []
    theirs[EVERYWHERE]["champion", "pr_auc"] += 0.2e-4
    assert _disagreeing(ours, theirs) == ["pr_auc of champion [all rows]"]


def test_a_group_that_one_side_alone_has_disagrees(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    lost = theirs.pop(("sex", "F"))
    theirs["sex", "X"] = lost
    disagreeing = _disagreeing(ours, theirs)
    assert {"rows of candidate [sex = F]", "rows of candidate [sex = X]"} <= set(disagreeing)


def test_the_largest_difference_of_a_metric_is_named(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    theirs["sex", "M"]["champion", "log_loss"] += 3e-6
    theirs["sex", "F"]["champion", "log_loss"] += 1e-6
    count, worst = largest(pairs(ours, theirs))["log_loss", False]
    assert (count, worst.title) == (4, "log_loss of champion [sex = M]")
    assert worst.difference == pytest.approx(3e-6)


@pytest.mark.parametrize(
    ("here", "there", "difference"), [(None, None, 0.0), (0.5, None, math.inf), (None, 1, math.inf)]
)
def test_what_one_side_leaves_undefined_is_infinitely_far(
    here: float | None, there: float | None, difference: float
) -> None:
    pair = Pair(metric="auc", model="champion", slice=None, value=None, ours=here, theirs=there)
    assert pair.difference == difference
    assert pair.agrees == (difference == 0)
