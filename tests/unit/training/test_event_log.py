"""What a training leaves for TensorBoard, read back by TensorBoard's own reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nightshift.definition.training import Training
from nightshift.training.dataset import as_batch
from nightshift.training.event_log import EventLog
from nightshift.training.event_upload import EPOCHS_FILE
from nightshift.training.features import compute_statistics
from nightshift.training.fit import fit, seed_everything
from nightshift.training.model_file import build_model
from nightshift.training.objective import loss_of
from nightshift.training.order import Order
from tests.unit.training.small_data import (
    FEATURES,
    LABEL,
    MODEL,
    READER,
    columns,
    examples,
    write_files,
)

ROWS = 640
TRAINING = Training(epochs=2, global_batch_size=64, learning_rate=0.01)


def trained(folder: Path, *callbacks: tf_keras.callbacks.Callback) -> list[np.ndarray]:
    from nightshift.training.dataset import from_memory

    # Keras numbers the names of layers through a process; a step's process begins at the first.
    tf_keras.backend.reset_uids()
    seed_everything(1)
    pipeline = folder / "small"
    pipeline.mkdir(parents=True, exist_ok=True)
    (pipeline / "model.py").write_text(MODEL)
    files = write_files(folder / "data", [columns(ROWS)])
    model = build_model(pipeline, compute_statistics(READER.batches(files), FEATURES), {})
    order = Order((ROWS,), TRAINING.global_batch_size, TRAINING.seed, ROWS)
    batches = from_memory(examples(ROWS), order, epochs=TRAINING.epochs)
    import logging

    fit(model, batches, TRAINING, LABEL, logging.getLogger("test"), callbacks=callbacks)
    values: list[np.ndarray] = model.get_weights()
    return values


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray], int]:
    folder = tmp_path_factory.mktemp("events")
    published = []
    log = EventLog(
        folder,
        as_batch(examples(64)),
        loss_of(LABEL),
        publish=lambda: published.append(len(list(folder.iterdir()))),
    )
    weights = trained(tmp_path_factory.mktemp("work"), log)
    log.close()
    return folder, weights, len(published)


@pytest.fixture(scope="module")
def events(recorded: tuple[Path, list[np.ndarray], int]) -> EventAccumulator:
    return EventAccumulator(str(recorded[0])).Reload()


def test_curves_have_a_point_per_epoch(events: EventAccumulator) -> None:
    tags = set(events.Tags()["tensors"])
    assert {"epoch/loss", "epoch/auc", "epoch/accuracy"} <= tags
    assert {"epoch/learning_rate", "epoch/gradient_norm"} <= tags
    assert [event.step for event in events.Tensors("epoch/loss")] == [1, 2]


def test_every_variable_has_histograms_of_its_weights_and_gradients(
    events: EventAccumulator,
) -> None:
    tags = set(events.Tags()["tensors"])
    for name in ("dense/kernel", "embedding/embeddings", "probability/bias"):
        assert {f"weights/{name}", f"gradients/{name}", f"gradient_norm/{name}"} <= tags


def test_the_graph_and_a_profile_are_there(
    recorded: tuple[Path, list[np.ndarray], int], events: EventAccumulator
) -> None:
    assert events.Tags()["graph"]
    assert {node.op for node in events.Graph().node} >= {"MatMul", "Sigmoid"}
    (profile,) = recorded[0].glob("plugins/profile/*/*.xplane.pb")
    assert profile.stat().st_size > 1000


def test_each_epoch_is_published_when_it_ends(
    recorded: tuple[Path, list[np.ndarray], int],
) -> None:
    folder, _, published = recorded
    assert published == TRAINING.epochs
    told = json.loads((folder / EPOCHS_FILE).read_text())
    assert [epoch["number"] for epoch in told] == [1, 2]
    assert told[0]["learning_rate"] == pytest.approx(0.01)
    assert told[0]["gradient_norm"] > 0


def test_looking_changes_nothing(
    recorded: tuple[Path, list[np.ndarray], int], tmp_path: Path
) -> None:
    unseen = trained(tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(recorded[1], unseen, strict=True))


def test_a_resumed_training_goes_on_with_what_it_recorded(tmp_path: Path) -> None:
    (tmp_path / EPOCHS_FILE).write_text('[{"number": 1, "learning_rate": 0.5}]')
    assert EventLog(tmp_path, None, loss_of(LABEL)).epochs == [{"number": 1, "learning_rate": 0.5}]


def test_a_model_that_cannot_be_looked_at_is_trained_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs, labels = as_batch(examples(64))
    log = EventLog(tmp_path, ({"colour": inputs["colour"]}, labels), loss_of(LABEL))
    trained(tmp_path / "work", log)
    log.close()
    assert "TensorBoard gets no gradients: " in caplog.text
    assert [epoch["number"] for epoch in log.epochs] == [1, 2]
