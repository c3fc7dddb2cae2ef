"""Every environment is pinned, with hashes, and the two places that name Airflow's agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "include/runtimes"
NAMES = sorted(path.stem for path in LOCKS.glob("*.in"))


def test_requirements_txt_is_the_airflow_runtimes_lock() -> None:
    assert (ROOT / "requirements.txt").read_bytes() == (LOCKS / "airflow.txt").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    packages = re.split(r"(?m)^(?=[a-zA-Z0-9])", text)[1:]
    assert packages
    loose = [p.splitlines()[0] for p in packages if "==" not in p or "--hash=sha256:" not in p]
    assert loose == []
    assert "://" not in text  # no address of the machine that made it


@pytest.mark.parametrize("name", NAMES)
def test_everything_asked_for_is_in_the_lock(name: str) -> None:
    def canonical(text: str) -> str:
        return re.sub(r"[-_.]+", "-", re.split(r"[=<>\[ ;]", text.strip())[0]).lower()

    asked = {
        canonical(line)
        for line in (LOCKS / f"{name}.in").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    }
    locked = {
        canonical(line)
        for line in (LOCKS / f"{name}.txt").read_text().splitlines()
        if re.match(r"[a-zA-Z0-9]", line)
    }
    assert asked <= locked
