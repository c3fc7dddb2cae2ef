"""From a definition, a night and the inputs' references to one step's request, key included."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from nightshift import __version__
from nightshift.artifacts.keys import derive_key, digest
from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import new_attempt
from nightshift.definition.model import PipelineDefinition
from nightshift.runtimes import lock_digest
from nightshift.steps.catalog import StepSpec
from nightshift.steps.code import code_digest
from nightshift.steps.contract import StepRequest


def plan_step(
    spec: StepSpec,
    definition: PipelineDefinition,
    night: date,
    inputs: Mapping[str, ArtifactRef],
    *,
    own: Mapping[str, Any] | None = None,
    by: str = "",
    nonce: str = "",
) -> StepRequest:
    """Build the request of one step.

    Args:
        spec: The kind of step.
        definition: The pipeline.
        night: The run's night.
        inputs: A reference for each name in ``spec.inputs``, for those in ``spec.optional`` that
            the pipeline has, and for each instance of ``spec.gathers``.
        own: JSON values of the parameters in ``spec.own``: they tell one instance of a mapped step
            from another, so that each has its own key.
        by: Who or what runs it; recorded, not part of the key.
        nonce: Makes a new artifact on purpose; give it to the first step, the rest follow.
    """
    sections = {name: definition.section(name) for name in spec.sections}
    parameters = {**sections, **{name: (own or {})[name] for name in spec.own}}
    there = [name for name in spec.optional if name in inputs]
    wanted = [*spec.inputs, *there, *_gathered(spec, inputs)]
    code = step_code(spec, definition.folder)
    identity = {**parameters, "pipeline": definition.pipeline}
    if spec.by_night:
        identity["night"] = night.isoformat()
    key = derive_key(
        step=spec.name,
        inputs={name: inputs[name].key for name in wanted},
        parameters=identity,
        code=code,
        nonce=nonce,
    )
    return StepRequest(
        step=spec.name,
        pipeline=definition.pipeline,
        night=night,
        key=key,
        attempt=new_attempt(),
        inputs={name: inputs[name] for name in wanted},
        parameters=parameters,
        code=code,
        code_version=os.environ.get("NIGHTSHIFT_CODE_VERSION", __version__),
        folder=definition.folder,
        by=by,
    )


def _gathered(spec: StepSpec, inputs: Mapping[str, ArtifactRef]) -> list[str]:
    prefix = f"{spec.gathers}."
    return sorted(name for name in inputs if spec.gathers and name.startswith(prefix))


def step_code(spec: StepSpec, folder: Path) -> dict[str, str]:
    """Digests of all code that a step runs: ours, the pipeline's files, the runtime's lock."""
    files = {f"file:{name}": digest((folder / name).read_bytes()) for name in spec.files}
    return {
        "step": code_digest(spec.module),
        f"runtime:{spec.runtime}": lock_digest(spec.runtime),
        **files,
    }
