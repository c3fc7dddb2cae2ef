"""Train a version again from its chain alone, and see whether the same model comes out.

Parameters and inputs are the recorded ones; code is the code that is here, and where it differs
from the recorded code that is said. Model.py comes from the model's own artifact. Everything is
made below a prefix of its own: nothing is overwritten, nothing registered.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nightshift.artifacts.keys import derive_key
from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore, new_attempt
from nightshift.errors import BadDefinitionError, RefusedError, UnavailableError
from nightshift.lineage.chain import TRAIN, Chain, Link
from nightshift.steps.catalog import EVALUATE, STEPS, StepSpec
from nightshift.steps.contract import StepRequest
from nightshift.steps.launch import run_step
from nightshift.steps.plan import step_code

TOLERANCE = 1e-4
"""Largest difference of a metric between two trainings that count as the same."""
_MODEL_FILE, KEPT_MODEL_FILE = "model.py", "keras/model.py"
_MACHINE = ("_ms", "_seconds", "_bytes")
"""Endings of numbers that tell of the machine, not of the model."""


@dataclass(frozen=True)
class CodeDifference:
    """A part of the recorded code that is another one here."""

    step: str
    part: str
    """``step``, ``file:<name>`` or ``runtime:<name>``, as in the manifest."""
    recorded: str
    """SHA-256; ``-`` where it is on one side alone."""
    here: str


@dataclass(frozen=True)
class Compared:
    """One number of the record beside the same number made again."""

    step: str
    metric: str
    recorded: float | None
    reproduced: float | None

    @property
    def difference(self) -> float:
        """Absolute; infinite where only one side has the number."""
        if self.recorded is None or self.reproduced is None:
            return math.inf
        return abs(self.recorded - self.reproduced)


@dataclass
class Reproduction:
    """One version, trained and evaluated again.

    Args:
        store: The artifacts.
        chain: Of the version.
        work: Local scratch folder.
        pipeline: The pipeline's folder here, or None where there is none any more.
        by: Who asks.
    """

    store: ArtifactStore
    chain: Chain
    work: Path
    pipeline: Path | None
    by: str

    def __post_init__(self) -> None:
        # Not a pipeline's name, so it never meets one's artifacts; and a name that every step
        # can make a folder or a job of.
        self.scratch = f"scratch-{self.chain.pipeline}-{uuid.uuid4().hex[:8]}"

    def run(self, on_line: Callable[[str], None]) -> tuple[Compared, ...]:
        """Train, evaluate, compare (raises RefusedError where a step fails)."""
        train, evaluate = self._link(TRAIN), self.chain.link(EVALUATE.name)
        model = self._repeat(train, train.manifest.inputs, on_line)
        compared = list(_compare(TRAIN, train.manifest, self.store.open(model).manifest))
        if evaluate:
            inputs = {**evaluate.manifest.inputs, TRAIN: model}
            again = self.store.open(self._repeat(evaluate, inputs, on_line)).manifest
            compared += _compare(EVALUATE.name, evaluate.manifest, again)
        return tuple(compared)

    def code_differences(self) -> tuple[CodeDifference, ...]:
        """Where the code here is not the code that made the version."""
        links = [self.chain.link(TRAIN), self.chain.link(EVALUATE.name)]
        return tuple(found for link in links if link for found in self._differences(link))

    def remove(self) -> None:
        """Remove what was made again."""
        for found in self.store.bucket.list(f"{self.scratch}/"):
            self.store.bucket.delete(found.key)

    def _repeat(
        self, link: Link, inputs: Mapping[str, ArtifactRef], on_line: Callable[[str], None]
    ) -> ArtifactRef:
        result = run_step(self._request(link, inputs), self.store, on_line=on_line)
        if result.artifact is None:
            assert result.error is not None
            kind = UnavailableError if result.error.kind.retryable else RefusedError
            raise kind(
                f"{self._whose}: '{link.name}' could not be repeated: {result.error.message}"
            )
        return result.artifact

    def _request(self, link: Link, inputs: Mapping[str, ArtifactRef]) -> StepRequest:
        spec, recorded = STEPS[link.step], link.manifest
        self._require_parameters(spec, recorded)
        code = step_code(spec, self._folder())
        key = derive_key(
            step=spec.name,
            inputs={name: ref.key for name, ref in inputs.items()},
            parameters=recorded.parameters,
            code=code,
            nonce=self.scratch,
        )
        return StepRequest(
            step=spec.name,
            pipeline=self.scratch,
            night=date.fromisoformat(recorded.night),
            key=key,
            attempt=new_attempt(),
            inputs=dict(inputs),
            parameters=recorded.parameters,
            code=code,
            code_version=recorded.code_version,
            folder=self._folder(),
            by=self.by,
        )

    def _require_parameters(self, spec: StepSpec, recorded: Manifest) -> None:
        lacking = sorted(set(spec.sections) - set(recorded.parameters))
        if lacking:
            raise BadDefinitionError(
                f"{self._whose}: '{spec.name}' reads {lacking} here, which its manifest does not "
                f"have: it was made by other code (version {recorded.code_version or 'unknown'}). "
                "Check that version out and ask again."
            )

    def _folder(self) -> Path:
        """A folder with the recorded model.py; this machine's own for models made without one."""
        folder = self.work / self.chain.pipeline
        train = self._link(TRAIN)
        if KEPT_MODEL_FILE in train.manifest.files and not (folder / _MODEL_FILE).is_file():
            text = self.store.read(self.store.open(train.ref), KEPT_MODEL_FILE)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _MODEL_FILE).write_bytes(text)
        if (folder / _MODEL_FILE).is_file():
            return folder
        if self.pipeline is None or not (self.pipeline / _MODEL_FILE).is_file():
            raise BadDefinitionError(
                f"{self._whose}: the model's artifact keeps no model.py, and there is no folder "
                f"'{self.chain.pipeline}' here. Check out the code that made it and ask again."
            )
        return self.pipeline

    def _differences(self, link: Link) -> Iterator[CodeDifference]:
        recorded, here = link.manifest.code, step_code(STEPS[link.step], self._folder())
        for part in sorted({*recorded, *here}):
            theirs, ours = recorded.get(part, "-"), here.get(part, "-")
            if theirs != ours:
                yield CodeDifference(link.name, part, theirs, ours)

    def _link(self, name: str) -> Link:
        link = self.chain.link(name)
        if link is None:
            raise RefusedError(f"{self._whose}: its chain has no '{name}', so nothing to repeat.")
        return link

    @property
    def _whose(self) -> str:
        return f"{self.chain.pipeline}@{self.chain.version}"


def _compare(step: str, recorded: Manifest, again: Manifest) -> Iterator[Compared]:
    for name in sorted({*recorded.metrics, *again.metrics}):
        if not name.endswith(_MACHINE):
            yield Compared(step, name, recorded.metrics.get(name), again.metrics.get(name))


def differing(compared: tuple[Compared, ...], tolerance: float = TOLERANCE) -> list[Compared]:
    """Numbers that are not the same."""
    return [one for one in compared if not one.difference <= tolerance]
