"""Step ``edge``: the accepted variant as a bundle that a device's programmer can take away.

Runs once the float model is registered, whose version the bundle bears. Files of the artifact:
``<pipeline>.tflite`` (with a note of its own metadata inside), ``metadata.json``,
``<pipeline>_model.h``, ``labels.txt``, ``README.md``.
"""

from __future__ import annotations

import hashlib
from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.compression.accept import BUDGETS_FILE, BudgetsResult
from nightshift.compression.bundle import NOTE, EdgeNote, Metadata, edge_note, manual
from nightshift.compression.c_header import c_header
from nightshift.compression.tflite_file import with_note
from nightshift.compression.variant import MODEL_FILE, VARIANT_FILE, Variant
from nightshift.definition.model import Feature, Label
from nightshift.errors import GateFailedError
from nightshift.steps.contract import StepContext, StepOutcome

METADATA_FILE = "metadata.json"


class RegisteredVersion(BaseModel):
    """Which registered version the bundle is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    night: date
    model_digest: str
    """SHA-256 of the model artifact's manifest."""


def run(context: StepContext) -> StepOutcome:
    """Write the bundle.

    Raises:
        GateFailedError: The variant did not keep its budgets: nothing is made of it.
    """
    content, variant = _accepted(context)
    note = _note(context, content, variant)
    noted = with_note(content, NOTE, note.model_dump_json().encode())
    file = f"{context.request.pipeline}.tflite"
    metadata = Metadata(
        **note.model_dump(),
        file=file,
        size=len(noted),
        sha256=hashlib.sha256(noted).hexdigest(),
    )
    header = _write(context, noted, metadata)
    context.log.info("%s: %d bytes, C header %d bytes", file, len(noted), header)
    return StepOutcome(
        metrics={"edge.bytes": float(len(noted)), "edge.header_bytes": float(header)},
        facts={"version": note.version, "target": note.target, "sha256": metadata.sha256},
        reports={"How to run it": "README.md"},
    )


def _accepted(context: StepContext) -> tuple[bytes, Variant]:
    variant_artifact = context.input("quantize")
    variant = Variant.model_validate_json(context.store.read(variant_artifact, VARIANT_FILE))
    judged = context.store.read(context.input("budgets"), BUDGETS_FILE)
    verdict = BudgetsResult.model_validate_json(judged).of(variant.target)
    if verdict is None or not verdict.accepted:
        raise GateFailedError(
            f"{context.request.pipeline}: no edge bundle is made of '{variant.target}': "
            f"{verdict.reason if verdict else 'it was not judged'}."
        )
    return context.store.read(variant_artifact, MODEL_FILE), variant


def _note(context: StepContext, content: bytes, variant: Variant) -> EdgeNote:
    request = context.request
    registered = request.section("registered", RegisteredVersion)
    return edge_note(
        content,
        pipeline=request.pipeline,
        version=registered.version,
        night=registered.night.isoformat(),
        target=variant.target,
        model_digest=registered.model_digest,
        features=request.section("features", dict[str, Feature]),
        label=request.section("label", Label),
    )


def _write(context: StepContext, content: bytes, metadata: Metadata) -> int:
    """All files; returns the size of the C header in bytes."""
    output, name = context.output, metadata.pipeline
    (output / metadata.file).write_bytes(content)
    (output / METADATA_FILE).write_text(metadata.model_dump_json(indent=1), encoding="utf-8")
    (output / "labels.txt").write_text("\n".join(metadata.labels) + "\n", encoding="utf-8")
    (output / "README.md").write_text(manual(metadata), encoding="utf-8")
    header = output / f"{name}_model.h"
    comment = (
        f"{name}, version {metadata.version}, {metadata.target}: {metadata.size} bytes\n"
        f"SHA-256 {metadata.sha256}"
    )
    header.write_text(c_header(name, content, comment), encoding="utf-8")
    return header.stat().st_size
