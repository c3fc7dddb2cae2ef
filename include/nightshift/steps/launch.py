"""From outside: run a step as a process of its own, in its runtime, and bring back the result."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from nightshift.artifacts.store import ArtifactStore
from nightshift.encryption.keys import SETTINGS
from nightshift.errors import ErrorKind, StepError
from nightshift.runtimes import python_of
from nightshift.steps.catalog import STEPS, StepSpec
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.run import LIFELINE, result_of
from nightshift.steps.scratch import scratch_folder

# A step sees these and what its caller adds, nothing else: Airflow's own secrets stay outside.
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
_PASSED_ON_PREFIXES = ("AWS_", "NIGHTSHIFT_", "OPENBLAS_", "OMP_", "TF_")
_GRACE_SECONDS = 10.0


class StepProcess:
    """One step on its way. ``kill`` may be called from a signal handler or another thread."""

    def __init__(self, request: StepRequest, environment: Mapping[str, str] | None = None) -> None:
        self.request = request
        self.spec: StepSpec = STEPS[request.step]
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None

    def run(self, on_line: Callable[[str], None]) -> StepResult:
        """Start the process, hand each line it prints to ``on_line``, wait, read the result."""
        with scratch_folder() as folder:
            request_file, result_file = folder / "request.json", folder / "result.json"
            request_file.write_text(self.request.model_dump_json(indent=1), encoding="utf-8")
            self._process = self._start(request_file, result_file)
            assert self._process.stdout is not None
            try:
                for line in self._process.stdout:
                    on_line(line.rstrip("\n"))
                code = self._process.wait()
            finally:
                self.kill(grace=0.0)
            if result_file.exists():
                return StepResult.model_validate_json(result_file.read_bytes())
            return StepResult(error=self._died(code))

    def kill(self, grace: float = _GRACE_SECONDS) -> None:
        """End the whole process group: politely, then by force after ``grace`` seconds."""
        process = self._process
        if process is None:
            return
        if grace and process.poll() is None:
            _signal_group(process.pid, signal.SIGTERM)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        # Even where the leader has ended, a child of it may not have.
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, request_file: Path, result_file: Path) -> subprocess.Popen[str]:
        command = [str(python_of(self.spec.runtime)), "-m", "nightshift.steps.run"]
        return subprocess.Popen(
            [*command, str(request_file), str(result_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            start_new_session=True,
            env={**self._environment(), "TMPDIR": str(request_file.parent)},
        )

    def _environment(self) -> dict[str, str]:
        runtime_bin = str(python_of(self.spec.runtime).parent)
        withheld = () if self.spec.models else SETTINGS
        passed = {
            name: value
            for name, value in os.environ.items()
            if (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)) and name not in withheld
        }
        return {
            **passed,
            "PATH": f"{runtime_bin}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONUNBUFFERED": "1",
            # A model.py that is written anew within a second must not find its old byte code.
            "PYTHONDONTWRITEBYTECODE": "1",
            # tf_keras is what every distribution strategy can fit; TensorFlow reads this at import.
            "TF_USE_LEGACY_KERAS": "1",
            # glibc gives the tensors of every training step back to the system and asks for them
            # anew; keeping 64 MiB more halves the time of a convolution (48 to 25 s an epoch).
            "MALLOC_TOP_PAD_": str(64 * 2**20),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "-1"),
            LIFELINE: "1",
            **self.environment,
        }

    def _died(self, code: int) -> StepError:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = " Out of memory is the usual cause." if code == -signal.SIGKILL else ""
        return StepError(
            kind=ErrorKind.DEFECT,
            message=f"{self.request.pipeline}: the process of step '{self.request.step}' ended by "
            f"{how} before it could say why.{hint} It is tried again; nothing was committed.",
        )


def run_step(
    request: StepRequest,
    store: ArtifactStore,
    *,
    on_line: Callable[[str], None] = print,
    environment: Mapping[str, str] | None = None,
) -> StepResult:
    """Reuse a committed artifact without starting a process, or run the step in one."""
    existing = store.find(request.pipeline, STEPS[request.step].kind, request.key)
    if existing:
        return result_of(existing, store, reused=True)
    return StepProcess(request, environment).run(on_line)


def _signal_group(leader: int, sign: signal.Signals) -> None:
    try:
        os.killpg(leader, sign)
    except ProcessLookupError:
        pass
