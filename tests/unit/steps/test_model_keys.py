"""Steps that read or write files of models get the keys of these; others do not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from nightshift.artifacts.manifest import MODEL_KINDS
from nightshift.encryption.keys import SETTINGS
from nightshift.runtimes import Runtime
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest
from nightshift.steps.launch import StepProcess

# The runtime carries the library only where somebody needs it.
_CARRY = {Runtime.AIRFLOW, Runtime.ML, Runtime.TOOLS}


@pytest.mark.parametrize("name", sorted(STEPS))
def test_only_steps_with_models_get_the_keys(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / STEPS[name].runtime / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("NIGHTSHIFT_RUNTIMES", str(tmp_path))
    for setting in SETTINGS:
        monkeypatch.setenv(setting, "somewhere")
    request = StepRequest(
        step=name,
        pipeline="flights",
        night=date(2026, 1, 1),
        key="0",
        attempt="0",
        folder=tmp_path,
    )
    told = set(SETTINGS) & set(StepProcess(request)._environment())
    assert told == (set(SETTINGS) if STEPS[name].models else set())


def test_whoever_makes_a_model_has_the_keys() -> None:
    makers = {name for name, spec in STEPS.items() if spec.kind in MODEL_KINDS}
    assert makers == {"train", "quantize", "edge"}
    assert all(STEPS[name].models for name in makers)


def test_steps_with_models_run_where_the_library_is() -> None:
    assert {spec.runtime for spec in STEPS.values() if spec.models} <= _CARRY
    locks = Path(__file__).parents[3] / "include" / "runtimes"
    assert {
        runtime
        for runtime in Runtime
        if "aws-encryption-sdk==" in (locks / f"{runtime}.txt").read_text()
    } == _CARRY
