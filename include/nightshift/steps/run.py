"""Inside a step's process: ``python -m nightshift.steps.run REQUEST.json RESULT.json``.

The same command runs a step from a shell, given the request file that Airflow wrote.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType, ModuleType

from nightshift.artifacts.manifest import Manifest
from nightshift.artifacts.store import Artifact, ArtifactStore
from nightshift.errors import ErrorKind, NightshiftError, StepError
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepContext, StepOutcome, StepRequest, StepResult
from nightshift.steps.lifeline import die_with_parent, end_group_on_eof
from nightshift.storage.s3 import artifact_bucket

LIFELINE = "NIGHTSHIFT_LIFELINE"
"""Set by a parent that holds the other end of standard input as the step's lifeline."""


def execute(request: StepRequest, store: ArtifactStore) -> StepResult:
    """Run one step, or reuse what an earlier attempt committed. Never raises for bad input."""
    started = time.monotonic()
    spec = STEPS[request.step]
    work = Path(tempfile.mkdtemp(prefix=f"nightshift-{request.step}-"))
    context = StepContext(request, store, output=work / "output", work=work)
    context.output.mkdir()
    try:
        existing = store.find(request.pipeline, spec.kind, request.key)
        if existing:
            return result_of(existing, store, reused=True)
        # A key that cannot be read is found now, and not once the training is over.
        store.key_for(spec.kind)
        step = importlib.import_module(spec.module)
        outcome: StepOutcome = step.run(context)
        artifact = store.commit(_draft(request, spec.kind, outcome), context.output)
        _clean_up(step, context)
        result = result_of(artifact, store, reused=False)
        spent = {"seconds": time.monotonic() - started, "tensorflow": "tensorflow" in sys.modules}
        return result.model_copy(update=spent)
    except NightshiftError as error:
        return StepResult(error=_foreseen(error, context), seconds=time.monotonic() - started)
    except Exception as error:  # a bug or a full disk: say so, with the trace in the log
        traceback.print_exc()
        text = f"{request.pipeline}: step '{request.step}' broke: {type(error).__name__}: {error}"
        return StepResult(
            error=StepError(kind=ErrorKind.DEFECT, message=text),
            seconds=time.monotonic() - started,
        )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def result_of(artifact: Artifact, store: ArtifactStore, *, reused: bool) -> StepResult:
    """The result that a committed artifact stands for, the same whoever asks."""
    manifest = artifact.manifest
    bucket = store.bucket.name
    return StepResult(
        artifact=artifact.ref,
        metrics=manifest.metrics,
        facts=manifest.facts,
        reports={
            title: f"s3://{bucket}/{store.file_key(artifact, name)}"
            for title, name in manifest.reports.items()
        },
        reused=reused,
    )


def _clean_up(step: ModuleType, context: StepContext) -> None:
    """What a step's module may want to do once its artifact is there (``after_commit``)."""
    try:
        getattr(step, "after_commit", lambda _: None)(context)
    except NightshiftError as error:  # the artifact is committed: nothing can take that back
        context.log.warning("Something is left to clean up: %s", error)


def _draft(request: StepRequest, kind: str, outcome: StepOutcome) -> Manifest:
    return request.draft(
        kind,
        request.key,
        metrics=outcome.metrics,
        facts=outcome.facts,
        reports=outcome.reports,
    )


def _foreseen(error: NightshiftError, context: StepContext) -> StepError:
    request = context.request
    report = None
    if context.failure_report and (context.output / context.failure_report).is_file():
        kind = STEPS[request.step].kind
        prefix = f"{request.pipeline}/artifacts/{kind}/{request.key}/{request.attempt}"
        try:
            context.store.upload(prefix, context.output)
            report = f"s3://{context.store.bucket.name}/{prefix}/{context.failure_report}"
        except NightshiftError as second:  # the first error is the one that matters
            context.log.warning("The failure report could not be stored: %s", second)
    return StepError(kind=error.kind, message=error.message, facts=error.facts, report=report)


def main(arguments: list[str]) -> int:
    """Run the request file's step and write the result file; 0 where it ended in an artifact."""
    if len(arguments) != 2:
        print("usage: python -m nightshift.steps.run REQUEST.json RESULT.json", file=sys.stderr)
        return 2
    if os.environ.get(LIFELINE):
        die_with_parent()
        end_group_on_eof(sys.stdin.fileno())
    signal.signal(signal.SIGTERM, _terminate)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    # boto3 tells at INFO where it found its credentials, several times a step.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    request = StepRequest.model_validate_json(Path(arguments[0]).read_bytes())
    result = execute(request, ArtifactStore(artifact_bucket()))
    target = Path(arguments[1])
    partial = target.with_name(f".{target.name}.part")
    partial.write_text(result.model_dump_json(indent=1), encoding="utf-8")
    partial.replace(target)
    if result.error:
        print(result.error.message, file=sys.stderr)
    return 1 if result.error else 0


def _terminate(signum: int, frame: FrameType | None) -> None:
    # Children first, then out through the finally clauses, so that scratch files go too.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.environ.get(LIFELINE):
        os.killpg(os.getpgrp(), signal.SIGTERM)
    raise SystemExit(143)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The result is written and the scratch folder gone: taking TensorFlow apart politely would
    # only cost each step most of a second.
    os._exit(code)
