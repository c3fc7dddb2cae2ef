"""What an edge bundle says about its model: ``metadata.json``, a note in the file, a manual."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.compression.litert import LiteModel
from nightshift.definition.compression import Target
from nightshift.definition.model import Feature, Label

NOTE = "nightshift"
"""Name of the note among the file's own metadata."""


class Quantization(BaseModel):
    """``real = (integer - zero_point) * scale``."""

    model_config = ConfigDict(frozen=True)

    scale: float
    zero_point: int


class TensorNote(BaseModel):
    """One input or output."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str
    shape: tuple[int, ...]
    """The first dimension is rows; -1: as many as one likes."""
    quantization: Quantization | None = None
    """None where the values are the real ones."""
    meaning: str


class EdgeNote(BaseModel):
    """All that a program on a device must know of the model."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    version: int
    """The registered version that it was made from."""
    night: str
    target: Target
    model_digest: str
    """SHA-256 of the manifest of the model that it was made from."""
    inputs: tuple[TensorNote, ...]
    outputs: tuple[TensorNote, ...]
    labels: tuple[str, ...]
    """By number: the output's last dimension, or what 0 and 1 mean."""


class Metadata(EdgeNote):
    """The content of ``metadata.json``: the note, and what the file cannot say of itself."""

    file: str
    size: int
    """In bytes."""
    sha256: str


def edge_note(
    content: bytes,
    *,
    pipeline: str,
    version: int,
    night: str,
    target: Target,
    model_digest: str,
    features: dict[str, Feature],
    label: Label,
) -> EdgeNote:
    """Describe a ``.tflite`` file."""
    model = LiteModel(content, threads=1)
    return EdgeNote(
        pipeline=pipeline,
        version=version,
        night=night,
        target=target,
        model_digest=model_digest,
        inputs=tuple(
            _tensor(detail, _input_meaning(name, features[name]))
            for name, detail in model.inputs.items()
        ),
        outputs=(_tensor(model.output, _output_meaning(label)),),
        labels=label.classes or (f"not {label.name}", label.name),
    )


def _tensor(detail: dict[str, Any], meaning: str) -> TensorNote:
    scale, zero = detail["quantization"]
    return TensorNote(
        name=detail["name"],
        type=detail["dtype"].__name__,
        shape=tuple(int(size) for size in detail["shape_signature"]),
        quantization=Quantization(scale=float(scale), zero_point=int(zero)) if scale else None,
        meaning=meaning,
    )


def _input_meaning(name: str, feature: Feature) -> str:
    if feature.shape is not None:
        height, width, channels = feature.shape
        return f"pixels from 0 to 255, {height} rows of {width}, {channels} channel(s)"
    return f"the column {name!r}, {feature.type}"


def _output_meaning(label: Label) -> str:
    if label.classes:
        return "probability of each label, from 0 to 1"
    return f"probability of {label.name!r}, from 0 to 1"


def manual(metadata: Metadata) -> str:
    """The bundle's README: how to run it, with this model's own numbers."""
    name, (output,) = metadata.pipeline, metadata.outputs
    inputs = "\n".join(_tensor_line(tensor) for tensor in metadata.inputs)
    labels = "\n".join(f"{number}. {label}" for number, label in enumerate(metadata.labels))
    return f"""# {name}, version {metadata.version}, for devices

Made from registered version {metadata.version} (night of {metadata.night}) as `{metadata.target}`.

| file | what |
|---|---|
| `{metadata.file}` | the model, {metadata.size:,} bytes, SHA-256 `{metadata.sha256}` |
| `{name}_model.h` | the same bytes as a C array, for devices without files |
| `metadata.json` | inputs, outputs, labels, quantization, version, digest |
| `labels.txt` | one label a line |

## Inputs and outputs

{inputs}
{_tensor_line(output)}

Where a scale is given: `integer = round(real / scale) + zero_point`, held within the type's
range, and `real = (integer - zero_point) * scale`.

Labels, by number from 0:

{labels}

## On a computer or a phone (LiteRT)

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter("{metadata.file}")
model.allocate_tensors()
{_python_inputs(metadata)}
model.invoke()
{_python_output(output)}
```

## On a microcontroller (LiteRT for Microcontrollers)

```cpp
#include "{name}_model.h"

const tflite::Model* model = tflite::GetModel({name}_model);
// Register the operators that the compression report lists for this model, then:
tflite::MicroInterpreter interpreter(model, resolver, arena, arena_size);
interpreter.AllocateTensors();
// Fill interpreter.input(n)->data, Invoke(), read interpreter.output(0)->data.
```

The array takes {metadata.size:,} bytes of flash, aligned to 16.
"""


def _tensor_line(tensor: TensorNote) -> str:
    scaled = tensor.quantization
    how = f", scale {scaled.scale:.9g}, zero point {scaled.zero_point}" if scaled else ""
    return f"- `{tensor.name}`: {tensor.type} {list(tensor.shape)}{how}: {tensor.meaning}"


def _python_inputs(metadata: Metadata) -> str:
    lines = []
    for tensor in metadata.inputs:
        shape = [1, *tensor.shape[1:]]
        real = f"np.zeros({shape}, np.float32)  # your values"
        lines.append(f"{tensor.name} = {real}")
        given = tensor.name
        if tensor.quantization:
            scale, zero = tensor.quantization.scale, tensor.quantization.zero_point
            given = f"np.clip(np.rint({tensor.name} / {scale!r}) + {zero}, -128, 127)"
        lines.append(
            f"detail = next(d for d in model.get_input_details() if d['name'] == {tensor.name!r})"
        )
        lines.append(f"model.set_tensor(detail['index'], {given}.astype(detail['dtype']))")
    return "\n".join(lines)


def _python_output(output: TensorNote) -> str:
    lines = ["answer = model.get_tensor(model.get_output_details()[0]['index'])"]
    if output.quantization:
        scale, zero = output.quantization.scale, output.quantization.zero_point
        lines.append(f"answer = (answer.astype(np.float32) - {zero}) * {scale!r}")
    lines.append("print(answer)")
    return "\n".join(lines)
