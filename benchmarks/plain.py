"""A night's work as one plain script per runtime: no scheduler, no process per step.

What the pipeline is measured against. The same functions do the same work on the same rows, one
after the other in one process::

    python benchmarks/plain.py ml-before|validation|ml NIGHT FOLDER

``ml-before`` pins the snapshot, ``validation`` runs statistics and schema check, ``ml`` runs
expectations, training with export, and evaluation.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

from nightshift.artifacts import ArtifactStore
from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.definition.load import load_pipeline
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepContext
from nightshift.steps.plan import plan_step
from nightshift.storage.s3 import artifact_bucket

PARTS = {
    "ml-before": ("snapshot",),
    "validation": ("statistics",),
    "ml": ("expectations", "train", "evaluate"),
}


def main(part: str, night: str, folder: str) -> None:
    """Run one part's steps in this process; references to what was made lie in ``folder``."""
    started = time.monotonic()
    definition = load_pipeline("flights")
    store = ArtifactStore(artifact_bucket())
    for name in PARTS[part]:
        spec = STEPS[name]
        before = time.monotonic()
        inputs = {
            n: ArtifactRef.model_validate_json((Path(folder) / f"{n}.ref").read_text())
            for n in spec.inputs
        }
        request = plan_step(
            spec, definition, date.fromisoformat(night), inputs, by="plain", nonce=folder
        )
        work = Path(folder) / name
        shutil.rmtree(work, ignore_errors=True)
        (work / "output").mkdir(parents=True)
        context = StepContext(request, store, output=work / "output", work=work)
        outcome = importlib.import_module(spec.module).run(context)
        draft = Manifest(
            pipeline=request.pipeline,
            kind=spec.kind,
            key=request.key,
            attempt=request.attempt,
            files={},
            created=datetime.now(UTC),
            metrics=outcome.metrics,
            facts=outcome.facts,
        )
        ref = store.commit(draft, context.output).ref
        (Path(folder) / f"{name}.ref").write_text(ref.model_dump_json())
        print(f"{name}: {time.monotonic() - before:.2f} s", flush=True)
    print(f"{part}: {time.monotonic() - started:.2f} s after start", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
