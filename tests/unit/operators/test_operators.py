"""Operators are found wherever a signature reaches them, in models that TensorFlow wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from nightshift.errors import BadDataError
from nightshift.gates.rules import Ruling, judge_operators
from nightshift.operators.allowed import (
    allowed_operators,
    forbidden_operators,
    unread_forms,
)
from nightshift.operators.saved_model import reachable_operators

WHOLE = tf.lookup.TextFileIndex.WHOLE_LINE
X = tf.TensorSpec([None], tf.float32, name="x")


def saved(folder: Path, function: Callable[[tf.Tensor], tf.Tensor], **parts: object) -> bytes:
    """The bytes of a model whose one signature is the function."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    serve = tf.function(function, input_signature=[X])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    return (folder / "saved_model.pb").read_bytes()


def test_a_plain_model_has_none(tmp_path: Path) -> None:
    weight = tf.Variable(2.0)
    model = saved(tmp_path, lambda x: tf.nn.sigmoid(x * weight), weight=weight)
    assert forbidden_operators(model) == ()
    found = reachable_operators(model)
    assert {"Mul", "Sigmoid", "ReadVariableOp"} <= found.asked
    assert "RestoreV2" in found.restored and "RestoreV2" not in found.asked


def read_file(x: tf.Tensor) -> tf.Tensor:
    return x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def write_file(x: tf.Tensor) -> tf.Tensor:
    # Nobody reads its result: it hangs on a control edge.
    with tf.control_dependencies([tf.io.write_file("/tmp/never", "x")]):
        return tf.identity(x)


def python_function(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.py_function(lambda v: v, [x], tf.float32), [-1])


def numpy_function(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.numpy_function(lambda v: v, [x], tf.float32), [-1])


def printing(x: tf.Tensor) -> tf.Tensor:
    tf.print(x)
    return x


def dataset(x: tf.Tensor) -> tf.Tensor:
    lines = tf.data.TextLineDataset("/etc/hostname")
    return x + tf.cast(lines.reduce(tf.constant(0), lambda n, _: n + 1), tf.float32)


def deep_within(x: tf.Tensor) -> tf.Tensor:
    @tf.function
    def inner(v: tf.Tensor) -> tf.Tensor:
        return tf.cond(tf.reduce_sum(v) > 100.0, lambda: read_file(v), lambda: v)

    (last,) = tf.while_loop(lambda v: tf.reduce_sum(v) < 5.0, lambda v: (inner(v + 1.0),), [x])
    return last


def summary(x: tf.Tensor) -> tf.Tensor:
    files = tf.io.matching_files("/home/*")
    return x + tf.cast(tf.size(files), tf.float32)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (read_file, "ReadFile"),
        (write_file, "WriteFile"),
        (python_function, "EagerPyFunc"),
        (numpy_function, "PyFunc"),
        (printing, "PrintV2"),
        (dataset, "TextLineDataset"),
        (deep_within, "ReadFile"),
        (summary, "MatchingFiles"),
    ],
)
def test_what_reaches_out_is_named(
    tmp_path: Path, function: Callable[[tf.Tensor], tf.Tensor], operator: str
) -> None:
    assert operator in forbidden_operators(saved(tmp_path, function))


def test_a_restore_within_a_request_is_named(tmp_path: Path) -> None:
    def restoring(x: tf.Tensor) -> tf.Tensor:
        (value,) = tf.raw_ops.RestoreV2(
            prefix="/elsewhere", tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return x + value

    assert forbidden_operators(saved(tmp_path, restoring)) == ("RestoreV2",)


def test_the_initialiser_is_read_too(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("1\n2\n")
    table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.int64, WHOLE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        -1,
    )
    model = saved(
        tmp_path / "m",
        lambda x: tf.cast(table.lookup(tf.cast(x, tf.int64)), tf.float32),
        table=table,
    )
    assert "InitializeTableFromTextFileV2" in forbidden_operators(model)


def test_a_table_in_the_model_itself_is_allowed(tmp_path: Path) -> None:
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2]), -1)
    model = saved(
        tmp_path, lambda x: tf.cast(table.lookup(tf.cast(x, tf.int32)), tf.float32), table=table
    )
    assert forbidden_operators(model) == ()


@pytest.mark.parametrize("body", [b"", b"\x0a", b"no model at all", b"\x12\x05\x01"])
def test_what_is_no_model_is_refused(body: bytes) -> None:
    with pytest.raises(BadDataError, match="cannot be read"):
        forbidden_operators(body)


def test_a_model_that_is_cut_off_anywhere_is_refused_or_says_less(tmp_path: Path) -> None:
    model = saved(tmp_path, read_file)
    for end in range(1, len(model), 97):
        with pytest.raises(BadDataError):
            forbidden_operators(model[:end])


def test_every_allowed_operator_is_tensorflows_and_none_reaches_out() -> None:
    assert len(allowed_operators()) > 300
    for name in ("ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "PrintV2", "RestoreV2", "Send"):
        assert name not in allowed_operators()
    for name in allowed_operators():
        assert hasattr(tf.raw_ops, name), name


def test_forms_that_would_be_loaded_unread_are_named() -> None:
    names = ["saved_model/saved_model.pb", "saved_model/saved_model.cpb"]
    assert unread_forms(names) == ("saved_model/saved_model.cpb",)


def test_the_gate_fails_by_the_operators_name_and_passes_nothing_without() -> None:
    (judgement,) = judge_operators(["ReadFile"])
    assert judgement.ruling is Ruling.FAILED
    assert str(judgement) == (
        "forbidden_operators <= 0 [the night]: measured 1, limit <= 0: failed "
        "(ReadFile: not on the list of operators/allowed.txt)"
    )
    assert judge_operators([]) == ()
