"""Measuring: one table in, overall and every slice out, counts included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.errors import BadDefinitionError
from nightshift.evaluation.metrics import auc
from nightshift.evaluation.predictions import Predictions, as_text
from nightshift.evaluation.report import render
from nightshift.evaluation.result import Evaluation
from tests.unit.evaluation.tables import compare, evaluate

ROWS = 400


def _predictions(*, champion: bool = True) -> Predictions:
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 2, ROWS).astype(np.float32)
    noise = draw.random((2, ROWS))
    better = np.float32(0.5) * labels + 0.5 * noise[0]
    return Predictions(
        labels=labels,
        slices={
            "carrier": pa.array(draw.choice(["AA", "<b>", "UA"], ROWS).tolist()),
            "origin": as_text(pa.array([1, None] * (ROWS // 2))),
        },
        candidate=better.astype(np.float32),
        champion=noise[1].astype(np.float32) if champion else None,
    )


def test_slices_hold_every_row_once_and_their_own_metrics() -> None:
    predictions = _predictions()
    found = evaluate(predictions).groups("carrier")
    assert sum(group.rows for group in found) == ROWS
    assert [group.rows for group in found] == sorted((g.rows for g in found), reverse=True)
    for group in found:
        rows = np.array(predictions.slices["carrier"].to_pylist()) == group.value
        assert group.rows == rows.sum()
        assert group.positives == predictions.labels[rows].sum()
        assert group.candidate.auc == auc(predictions.labels[rows], predictions.candidate[rows])
        assert predictions.champion is not None
        assert group.champion is not None
        assert group.champion.auc == auc(predictions.labels[rows], predictions.champion[rows])


def test_a_null_in_a_slice_is_a_value_of_its_own() -> None:
    assert {group.value for group in evaluate(_predictions()).groups("origin")} == {
        "1",
        "(missing)",
    }


def test_an_evaluation_survives_its_file() -> None:
    evaluation = evaluate(_predictions())
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_a_key_is_no_slice() -> None:
    predictions = _predictions()
    many = pa.array([str(n) for n in range(1001)])
    wide = Predictions(
        np.resize(predictions.labels, 1001),
        {"flight": many},
        np.resize(predictions.candidate, 1001),
        None,
    )
    with pytest.raises(BadDefinitionError, match=r"'flight' has 1001 values.*limit is 1000"):
        evaluate(wide)


def test_the_table_is_written_in_order_with_null_for_no_champion(tmp_path: Path) -> None:
    predictions = _predictions(champion=False)
    predictions.write(tmp_path / "predictions.parquet")
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.column_names == ["row", "label", "carrier", "origin", "candidate", "champion"]
    assert table["row"].to_pylist() == list(range(ROWS))
    assert table["candidate"].to_numpy().tolist() == predictions.candidate.tolist()
    assert table["champion"].null_count == ROWS


def _curves(page: str, drawing: str) -> int:
    after = page.partition(f'aria-label="{drawing}"')[2]
    return after.partition("</svg>")[0].count("<polyline")


def test_the_report_shows_both_models_and_escapes_what_the_data_says() -> None:
    predictions = _predictions()
    page = render(evaluate(predictions), compare(predictions))
    assert "champion (version 7)" in page
    assert [_curves(page, name) for name in ("ROC curves", "reliability plot")] == [2, 2]
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_report_says_why_there_is_no_comparison() -> None:
    predictions = _predictions(champion=False)
    page = render(evaluate(predictions), compare(predictions))
    assert "No comparison with a champion: no version has been released yet." in page
    assert [_curves(page, name) for name in ("ROC curves", "reliability plot")] == [1, 1]


def test_a_report_of_one_label_alone_has_no_curve() -> None:
    predictions = _predictions()
    same = Predictions(
        np.ones(ROWS, np.float32), predictions.slices, predictions.candidate, predictions.champion
    )
    assert "ROC curves" not in render(evaluate(same), compare(same))
