"""A step's scratch folder is gone with it, whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nightshift.steps.scratch import remove_left, scratch_folder

HOLDER = """
import time
from nightshift.steps.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "copy.parquet").write_bytes(b"rows")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def folder_of(holder: subprocess.Popen[str]) -> Path:
    """The folder that a process has made."""
    assert holder.stdout
    return Path(holder.stdout.readline().strip())


def aged(folder: Path) -> Path:
    """As if it had been made an hour ago."""
    moment = folder.stat().st_mtime - 3600
    os.utime(folder, (moment, moment))
    return folder


def test_it_is_gone_afterwards_with_all_that_is_in_it() -> None:
    with scratch_folder() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert not folder.exists()


def test_what_a_killed_process_left_goes_and_what_is_held_stays() -> None:
    holders = [
        subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        kept, left = (folder_of(holder) for holder in holders)
        aged(kept)
        aged(left)
        remove_left()
        assert kept.exists() and left.exists(), "both are at work"
        holders[1].send_signal(signal.SIGKILL)
        holders[1].wait()
        with scratch_folder():
            assert kept.exists() and not left.exists()
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            assert holder.stdout
            holder.stdout.close()


def test_a_folder_that_was_made_just_now_is_left_alone(tmp_path: Path) -> None:
    fresh = Path(tempfile.mkdtemp(prefix="nightshift-step-"))
    remove_left()
    assert fresh.exists()
    remove_left()
    aged(fresh)
    remove_left()
    assert not fresh.exists()


def test_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "file").write_text("x")
    aged(treasure)
    (tmp_path / "nightshift-step-link").symlink_to(treasure)
    remove_left()
    assert (treasure / "file").exists()
