"""The shipped file: named as the signature, aligned, with notes that change no answer."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from nightshift.compression import convert
from nightshift.compression.litert import LiteModel
from nightshift.compression.tflite_file import finished, note_of, with_note
from tests.unit.compression.conftest import Small


@pytest.fixture(scope="module")
def content(small: Small) -> bytes:
    return convert.to_int8(small.saved_model, small.inputs)


def offsets(content: bytes) -> list[int]:
    """Where each filled buffer begins in the file."""
    model, start = schema.Model.GetRootAsModel(content, 0), np.frombuffer(content, np.uint8)
    buffers = [model.Buffers(n) for n in range(model.BuffersLength())]
    first = start.__array_interface__["data"][0]
    filled = [b.DataAsNumpy() for b in buffers if b.DataLength()]
    return [b.__array_interface__["data"][0] - first for b in filled]


def test_inputs_and_outputs_bear_the_names_of_the_signature(content: bytes) -> None:
    model = LiteModel(content)
    assert [detail["name"] for detail in model.inputs.values()] == ["image"]
    assert model.output["name"] == "probability"


def test_weights_begin_at_multiples_of_sixteen_bytes(content: bytes) -> None:
    assert offsets(content)
    assert all(offset % 16 == 0 for offset in offsets(content))
    assert all(offset % 16 == 0 for offset in offsets(with_note(content, "who", b"me")))


def test_a_note_comes_back_and_changes_no_answer(content: bytes, small: Small) -> None:
    noted = with_note(content, "nightshift", b'{"version": 3}')
    assert note_of(noted, "nightshift") == b'{"version": 3}'
    assert note_of(content, "nightshift") is None
    ours, theirs = (LiteModel(c).predict(small.inputs) for c in (noted, content))
    np.testing.assert_array_equal(ours, theirs)


def test_a_file_without_the_signature_is_refused(content: bytes) -> None:
    other = content.replace(b"serving_default", b"serving_another")
    with pytest.raises(ValueError, match="no signature 'serving_default'"):
        finished(other)
