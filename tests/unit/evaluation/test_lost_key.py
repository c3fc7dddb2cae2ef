"""A champion whose key is lost: no comparison, and a reason; a key that is missing is an error."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.encryption.keys import LostKeyError
from nightshift.errors import BadDefinitionError
from nightshift.evaluation import evaluate
from nightshift.release.candidate import Candidate

CHAMPION = Candidate(
    version=7,
    night=date(2026, 1, 1),
    model=ArtifactRef(kind="model", key="c0", uri="s3://b/flights/artifacts/model/c0", digest="d"),
)


def context(tmp_path: Path, error: Exception) -> Any:
    """A step's context whose champion cannot be opened."""

    def fetch_artifact(*_: object) -> Path:
        raise error

    return SimpleNamespace(
        work=tmp_path,
        store=SimpleNamespace(open=lambda ref: ref),
        fetch=lambda name: tmp_path / name,
        fetch_artifact=fetch_artifact,
    )


@pytest.fixture
def snapshot(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(evaluate, "download", lambda *_: ())
    return SimpleNamespace(baseline=SimpleNamespace(champion=CHAMPION))


def test_a_lost_key_leaves_nobody_to_compare_with(tmp_path: Path, snapshot: Any) -> None:
    fetched = evaluate._fetch(context(tmp_path, LostKeyError("its key is lost.")), snapshot)
    assert fetched.champion is None
    assert fetched.lost == "champion version 7 cannot be opened: its key is lost"


def test_a_missing_key_ends_the_step(tmp_path: Path, snapshot: Any) -> None:
    """Or a night would pass without its champion because somebody forgot a setting."""
    with pytest.raises(BadDefinitionError, match="missing"):
        evaluate._fetch(context(tmp_path, BadDefinitionError("missing")), snapshot)
