"""Images and classes through every step, as processes, against a real S3 and a model server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.data.sources import fashion
from nightshift.errors import ErrorKind
from nightshift.evaluation.metrics import accuracy, log_loss
from nightshift.evaluation.result import Evaluation
from nightshift.release.address import Address
from nightshift.release.golden import Golden, check_golden
from nightshift.release.model_server import ModelServer, ServedState
from nightshift.steps.contract import StepResult
from tests.integration.fashion.conftest import DAYS, NIGHT, FashionNight
from tests.integration.ports import free_port
from tests.integration.servers import wait_until
from tests.integration.serving.conftest import server_process, wait_until_ready

OLD = NIGHT - timedelta(2)


def _fetched(night: FashionNight, step: str, into: Path) -> Path:
    night.store.fetch(night.store.open(night.made(step)), into)
    return into


def test_every_step_of_the_first_night_ends_well(night: FashionNight) -> None:
    failed = {step: result.error for step, result in night.results.items() if result.error}
    assert not failed
    assert night.results["snapshot"].metrics["days"] == DAYS  # the window has begun to grow
    assert night.results["train"].metrics["train_rows"] == 1000 * (DAYS - 1)


def test_the_statistics_know_an_image_by_its_length_alone(
    night: FashionNight, tmp_path: Path
) -> None:
    folder = _fetched(night, "statistics", tmp_path)
    table = next(t for d, t in fashion.days() if d == OLD)
    pixels = table["image"][0].as_py()[300:340]  # some of a garment, not of its background
    assert len(set(pixels)) > 5
    for file in folder.iterdir():
        assert pixels not in file.read_bytes()
    assert "784" in (folder / "report.html").read_text()


def test_the_metrics_are_those_of_the_written_table(night: FashionNight, tmp_path: Path) -> None:
    folder = _fetched(night, "evaluate", tmp_path)
    table = pq.read_table(folder / "predictions.parquet")
    labels, scores = table["label"].to_numpy(), np.array(table["candidate"].to_pylist())
    assert scores.shape == (1000, 10)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    metrics = night.results["evaluate"].metrics
    assert metrics["accuracy"] == accuracy(labels, scores)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, scores))
    assert "auc" not in metrics
    assert metrics["accuracy"] > 0.5
    found = Evaluation.model_validate_json((folder / "metrics.json").read_text())
    names = {group.value: group.candidate.accuracy for group in found.slices}
    assert found.confusion is not None
    assert names["ankle boot"] == found.confusion.accuracy_of(9)
    assert "ankle boot" in (folder / "report.html").read_text()


def test_another_night_compares_with_the_champion_on_the_same_images(night: FashionNight) -> None:
    snapshot, evaluate = night.results["snapshot"], night.results["evaluate"]
    try:
        night.results["snapshot"] = _with_champion(night)
        result = night.run("evaluate")
        assert result.error is None
        assert result.metrics["champion_accuracy"] == result.metrics["accuracy"]
        gate = night.run("gate")
        assert gate.error is None
        assert gate.metrics["champion_log_loss"] == gate.metrics["log_loss"]
    finally:
        night.results |= {"snapshot": snapshot, "evaluate": evaluate}


def _with_champion(night: FashionNight) -> StepResult:
    from nightshift.release import machine
    from nightshift.release.event import Change, EventKind
    from nightshift.release.log import ReleaseLog

    log = ReleaseLog(night.store.bucket, "fashion")
    candidate = night.champion()
    log.change(lambda r: machine.request(r, candidate, by="test", reason="test"), by="test")
    for kind in (EventKind.STAGED, EventKind.VERIFIED, EventKind.PROMOTED, EventKind.FINISHED):
        log.append(log.record(), Change(kind=kind, reason="test"), by="test")
    return night.run("snapshot", nonce="champion")


@contextmanager
def _served(saved_model: Path, folder: Path) -> Iterator[ModelServer]:
    """A model server that holds the model as version 1."""
    version = folder / "served" / "1"
    shutil.copytree(saved_model, version)
    port = free_port()
    options = (f"--model_base_path={version.parent}", "--model_name=fashion")
    log = folder / "server.log"
    with server_process(log, rest=port, grpc=free_port(), options=options) as process:
        wait_until_ready(process)
        server = ModelServer(Address("127.0.0.1", port))
        wait_until(
            lambda: server.status("fashion", 1).state is ServedState.AVAILABLE,
            seconds=60,
            what="the model is loaded",
        )
        yield server


def test_a_model_server_repeats_the_golden_answers_to_nested_numbers(
    night: FashionNight, tmp_path: Path
) -> None:
    folder = _fetched(night, "train", tmp_path / "model")
    golden = Golden.model_validate_json((folder / "golden.json").read_bytes())
    assert np.array(golden.inputs["image"]).shape == (32, 28, 28, 1)
    wrong = json.loads(golden.model_dump_json())
    wrong["outputs"]["probability"][5][3] += 0.01
    with _served(folder / "saved_model", tmp_path) as server:
        assert check_golden(server, "fashion", 1, golden) is None
        said = check_golden(server, "fashion", 1, Golden.model_validate(wrong))
    assert said is not None
    assert "golden row 5, value 3, of 'probability'" in said


def _spoil(name: str, change: Callable[[list], list]) -> Callable[[pa.Table], pa.Table]:  # type: ignore[type-arg]
    def spoil(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        values = pa.array(change(table[name].to_pylist()), field.type)
        return table.set_column(table.schema.get_field_index(name), field, values)

    return spoil


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("image", lambda v: [v[0][:-1], *v[1:]], ("'image'", "783", "784 to 784")),
        ("label", lambda v: [11, *v[1:]], ("'label'", "11", "0 to 9")),
    ],
    ids=["cut image", "unknown class"],
)
def test_one_wrong_row_of_an_old_day_stops_the_night_by_file_and_column(
    night: FashionNight,
    name: str,
    change: Callable[[list], list],  # type: ignore[type-arg]
    words: tuple[str, ...],
) -> None:
    good = dict(night.results)
    try:
        with night.spoiled(OLD, _spoil(name, change)):
            night.run("snapshot", nonce=f"{name}{words[1]}")
            result = night.run("statistics")
            assert result.error is not None
            assert result.error.kind is ErrorKind.BAD_DATA
            for word in (*words, f"fashion/date={OLD}/part-0.parquet"):
                assert word in result.error.message
    finally:
        night.results = good


def test_labels_shifted_by_one_are_told_by_the_expectations(night: FashionNight) -> None:
    good = dict(night.results)
    shift = _spoil("label", lambda values: [min(v + 1, 9) for v in values])
    try:
        with night.spoiled(NIGHT, shift):
            night.run("snapshot", nonce="shifted")
            result = night.run("expectations")
            assert result.error is not None
            assert "expect_column_distinct_values_to_equal_set" in result.error.message
    finally:
        night.results = good
