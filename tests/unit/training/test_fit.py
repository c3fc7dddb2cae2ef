"""Fitting: reproducible to the last bit, talkative, and stopped when it diverges."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tf_keras

from nightshift.definition.training import Training
from nightshift.errors import BadDefinitionError
from nightshift.training.dataset import Batches, from_files, from_memory
from nightshift.training.features import compute_statistics
from nightshift.training.fit import fit, seed_everything
from nightshift.training.model_file import build_model
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

ROWS = 1003
LOG = logging.getLogger("test")


def _model(folder: Path, seed: int, text: str = MODEL, **parameters: float) -> tf_keras.Model:
    seed_everything(seed)
    pipeline = folder / "small"
    pipeline.mkdir(exist_ok=True)
    (pipeline / "model.py").write_text(text)
    statistics = compute_statistics(READER.batches(_files(folder)), FEATURES)
    return build_model(pipeline, statistics, parameters)


def _files(folder: Path):  # type: ignore[no-untyped-def]
    whole = columns(ROWS)
    halves = [{n: v[:500] for n, v in whole.items()}, {n: v[500:] for n, v in whole.items()}]
    return write_files(folder / "data", halves)


def _order(seed: int) -> Order:
    return Order((500, 503), batch_size=64, seed=seed, pool_rows=300)


def _memory(folder: Path, seed: int, epochs: int = 2) -> Batches:
    return from_memory(examples(ROWS), _order(seed), epochs=epochs)


def _streamed(folder: Path, seed: int) -> Batches:
    files = _files(folder)
    return from_files(READER, lambda numbers: [files[n] for n in numbers], _order(seed), epochs=2)


def _weights(folder: Path, seed: int, make=_memory) -> list[np.ndarray]:  # type: ignore[no-untyped-def, type-arg]
    model = _model(folder, seed)
    fit(model, make(folder, seed), Training(epochs=2, seed=seed), LABEL, LOG)
    return model.get_weights()


@pytest.mark.parametrize("make", [_memory, _streamed])
def test_the_same_seed_gives_the_same_weights_to_the_bit(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first, second = _weights(tmp_path, 1, make), _weights(tmp_path, 1, make)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    first, second = _weights(tmp_path, 1), _weights(tmp_path, 2)
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_it_learns_what_keras_own_loop_learns(tmp_path: Path) -> None:
    training = Training(epochs=2, learning_rate=0.01)
    ours, theirs = _model(tmp_path, 1), _model(tmp_path, 1)
    epochs = fit(ours, _memory(tmp_path, 1), training, LABEL, LOG)
    theirs.compile("adam", "binary_crossentropy", [tf_keras.metrics.AUC(name="auc")])
    theirs.optimizer.learning_rate = 0.01
    batches = _memory(tmp_path, 1)
    told = theirs.fit(batches.dataset, epochs=2, steps_per_epoch=batches.steps, verbose=0).history
    assert [epoch.loss for epoch in epochs] == pytest.approx(told["loss"], rel=1e-5)
    assert [epoch.auc for epoch in epochs] == pytest.approx(told["auc"], rel=1e-5)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)


def test_it_learns(tmp_path: Path) -> None:
    training = Training(epochs=10, learning_rate=0.01)
    batches = _memory(tmp_path, 1, epochs=10)
    epochs = fit(_model(tmp_path, 1), batches, training, LABEL, LOG)
    assert epochs[-1].auc is not None
    assert epochs[-1].auc > 0.9
    assert epochs[-1].accuracy > 0.8
    assert epochs[-1].loss < epochs[0].loss


def test_every_epoch_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test")
    epochs = fit(_model(tmp_path, 1), _memory(tmp_path, 1), Training(epochs=2), LABEL, LOG)
    assert [line.split(" loss")[0] for line in caplog.messages] == ["epoch 1/2", "epoch 2/2"]
    assert f"loss {epochs[1].loss:.4f} auc {epochs[1].auc:.4f}" in caplog.messages[1]


def test_a_loss_that_is_no_number_stops_training_in_its_epoch(tmp_path: Path) -> None:
    model = _model(tmp_path, 1, MODEL, scale=float("inf"))
    with pytest.raises(BadDefinitionError, match=r"epoch 1 of 2.*the loss is nan") as caught:
        fit(model, _memory(tmp_path, 1), Training(epochs=2), LABEL, LOG)
    assert caught.value.facts["epoch"] == 1


def test_a_value_outside_an_embedding_is_the_models_error(tmp_path: Path) -> None:
    model = _model(tmp_path, 1, MODEL.replace("layers.Embedding(8, 2)", "layers.Embedding(3, 2)"))
    with pytest.raises(BadDefinitionError, match=r"model.py.*could not fit.*indices"):
        fit(model, _memory(tmp_path, 1), Training(epochs=2), LABEL, LOG)
