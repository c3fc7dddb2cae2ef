"""Classes measured: overall, by slice, by class, written, shown and judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.definition.gates import GateRule, Metric
from nightshift.evaluation.champion import unusable
from nightshift.evaluation.metrics import accuracy
from nightshift.evaluation.predictions import Predictions
from nightshift.evaluation.report import render
from nightshift.evaluation.result import Evaluation
from nightshift.gates.rules import Ruling, judge
from tests.unit.evaluation.tables import compare, evaluate

CLASSES = ("shirt", "<i>coat</i>", "boot", "never seen")
ROWS = 300


def _predictions(*, champion: bool = True) -> Predictions:
    draw = np.random.default_rng(8)
    labels = draw.integers(0, 3, ROWS)
    scores = draw.random((2, ROWS, 4)) * [1, 1, 1, 0.01]
    scores[0, np.arange(ROWS), labels] += 0.8  # the candidate knows more
    scores = (scores / scores.sum(axis=2, keepdims=True)).astype(np.float32)
    return Predictions(
        labels=labels.astype(np.float32),
        slices={"shop": pa.array(draw.choice(["north", "south"], ROWS).tolist())},
        candidate=scores[0],
        champion=scores[1] if champion else None,
        classes=CLASSES,
    )


def test_classes_have_no_auc_and_no_positives() -> None:
    found = evaluate(_predictions())
    for group in (found.overall, *found.slices):
        assert (group.candidate.auc, group.positives, group.one_sided) == (None, None, False)
        assert group.champion is not None
        assert group.candidate.accuracy > group.champion.accuracy  # type: ignore[operator]


def test_the_confusion_matrix_holds_every_row_once_and_its_diagonal_is_the_accuracy() -> None:
    predictions = _predictions()
    found = evaluate(predictions)
    assert found.confusion is not None
    for counts, scores in (
        (found.confusion.candidate, predictions.candidate),
        (found.confusion.champion, predictions.champion),
    ):
        matrix = np.array(counts)
        assert matrix.sum() == ROWS
        assert matrix.trace() / ROWS == pytest.approx(accuracy(predictions.labels, scores))
    for number in range(3):
        rows = predictions.labels == number
        expected = accuracy(predictions.labels[rows], predictions.candidate[rows])
        assert found.confusion.accuracy_of(number) == pytest.approx(expected)
    assert found.confusion.accuracy_of(3) is None


def test_an_evaluation_of_classes_survives_its_file() -> None:
    for champion in (True, False):
        found = evaluate(_predictions(champion=champion))
        assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_the_table_holds_a_probability_per_class(tmp_path: Path) -> None:
    for champion in (True, False):
        predictions = _predictions(champion=champion)
        predictions.write(tmp_path / "predictions.parquet")
        table = pq.read_table(tmp_path / "predictions.parquet")
        assert np.array_equal(np.array(table["candidate"].to_pylist()), predictions.candidate)
        assert table["champion"].null_count == (0 if champion else ROWS)
        assert table["champion"].type == table["candidate"].type
        assert table["label"].to_pylist() == predictions.labels.tolist()


def test_a_slice_by_the_label_does_not_take_the_labels_place(tmp_path: Path) -> None:
    names = pa.array(CLASSES)
    predictions = _predictions()
    by_label = replace(
        predictions, slices={"label": names.take(pa.array(predictions.labels.astype(int)))}
    )
    by_label.write(tmp_path / "predictions.parquet")
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table["label"].to_pylist() == predictions.labels.tolist()
    assert table["slice_label"][0].as_py() == CLASSES[int(predictions.labels[0])]


def test_the_report_shows_each_class_and_escapes_its_name() -> None:
    predictions = _predictions()
    page = render(evaluate(predictions), compare(predictions))
    assert "By class" in page
    assert "&lt;i&gt;coat&lt;/i&gt;" in page
    assert "<i>coat" not in page
    assert "champion&#x27;s accuracy" in page
    assert "ROC" not in page
    assert "AUC" not in page


def test_the_report_of_a_first_night_has_no_champion() -> None:
    predictions = _predictions(champion=False)
    page = render(evaluate(predictions), compare(predictions))
    assert "No comparison with a champion: no version has been released yet." in page
    assert "champion&#x27;s" not in page


def test_gates_judge_accuracy_overall_and_by_slice() -> None:
    predictions = _predictions()
    value = accuracy(predictions.labels, predictions.candidate)
    assert value is not None
    rules = (
        GateRule(metric=Metric.ACCURACY, floor=value - 0.1),
        GateRule(metric=Metric.ACCURACY, floor=value),
        GateRule(metric=Metric.ACCURACY, floor=value + 0.1),
        GateRule(metric=Metric.LOG_LOSS, margin=0.0),
        GateRule(metric=Metric.ACCURACY, floor=0.2, slice="shop", minimum_rows=1),
    )
    rulings = [judgement.ruling for judgement in judge(rules, compare(predictions), {})]
    assert rulings == [
        *(Ruling.PASSED, Ruling.INCONCLUSIVE, Ruling.FAILED, Ruling.PASSED),
        *(Ruling.PASSED, Ruling.PASSED),
    ]


def test_a_row_with_one_wrong_probability_is_one_unusable_row() -> None:
    scores = _predictions().candidate.copy()
    scores[3] = [0.5, -0.1, float("nan"), 0.6]
    scores[9, 1] = 1.5
    assert unusable(scores) == 2
