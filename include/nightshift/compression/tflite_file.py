"""The ``.tflite`` file as a flatbuffer: names of its tensors, notes inside it. No TensorFlow.

What the converter writes is not quite what is shipped. Its inputs and outputs bear names of the
graph (``serving_default_image:0``), and TensorFlow Serving makes its signature from those; its
weights lie at any multiple of four bytes, though the schema promises sixteen and processors without
unaligned access (Cortex-M0) need what it promises.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert.tools import flatbuffer_utils

from nightshift.training.signature import SIGNATURE

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16


def finished(content: bytes) -> bytes:
    """The converter's file as it is shipped: tensors named as the signature, weights aligned.

    Raises:
        ValueError: It has no signature ``serving_default``.
    """
    model = flatbuffer_utils.read_model_from_bytearray(content)
    for signature in model.signatureDefs or ():
        if signature.signatureKey.decode() != SIGNATURE:
            continue
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for named in (*signature.inputs, *signature.outputs):
            tensors[named.tensorIndex].name = named.name
        return _written(model)
    raise ValueError(f"the model has no signature {SIGNATURE!r}")


def with_note(content: bytes, name: str, note: bytes) -> bytes:
    """The same model with a note of that name among its metadata."""
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer_utils.read_model_from_bytearray(content)
    buffer = schema.BufferT()
    buffer.data = list(note)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or ()), entry]
    return _written(model)


def note_of(content: bytes, name: str) -> bytes | None:
    """The note of that name, or None where the file has none."""
    model = flatbuffer_utils.read_model_from_bytearray(content)
    for entry in model.metadata or ():
        if entry.name.decode() == name:
            return bytes(model.buffers[entry.buffer].data)
    return None


def _written(model: Any) -> bytes:
    builder = _AlignedBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Keeps the schema's ``force_align: 16`` of buffers, which Python's generated code forgets."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        return super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment)
