"""A runtime is complete and stamped, or it does not count; what went wrong is one line."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from nightshift.stack import runtime_build
from nightshift.stack.runtime_build import STAMP, BuildError, RuntimeBuild


@pytest.fixture
def build(tmp_path: Path) -> RuntimeBuild:
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "ml.txt").write_text("a==1\n")
    return RuntimeBuild("ml", root=tmp_path / "runtimes", locks=locks)


def complete(build: RuntimeBuild) -> None:
    build.python.parent.mkdir(parents=True)
    build.python.touch()
    (build.folder / STAMP).write_text(build.digest())


def test_a_complete_runtime_is_used_as_it_is(build: RuntimeBuild) -> None:
    complete(build)
    assert build.is_current()
    assert build.run() is False


def test_a_changed_lock_makes_it_stale(build: RuntimeBuild) -> None:
    complete(build)
    build.lock.write_text("a==2\n")
    assert not build.is_current()


def test_a_build_that_was_killed_half_way_does_not_count(build: RuntimeBuild) -> None:
    complete(build)
    (build.folder / STAMP).unlink()
    assert not build.is_current()


def test_a_runtime_whose_python_is_gone_does_not_count(build: RuntimeBuild) -> None:
    complete(build)
    build.python.unlink()
    assert not build.is_current()


def test_a_stale_runtime_is_removed_before_it_is_built_anew(
    build: RuntimeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(build)
    build.lock.write_text("a==2\n")
    (build.folder / "left-over").touch()
    commands: list[list[str]] = []

    def ran(self: RuntimeBuild, command: Sequence[str | Path]) -> None:
        self.folder.mkdir(exist_ok=True)
        commands.append([str(part) for part in command])

    monkeypatch.setattr(
        RuntimeBuild,
        "_run",
        ran,
    )
    assert build.run() is True
    assert not (build.folder / "left-over").exists()
    assert (build.folder / STAMP).read_text().strip() == build.digest()
    assert "--require-hashes" in commands[-1]
    assert "--compile-bytecode" in commands[-1]


def test_a_failed_build_leaves_no_stamp(
    build: RuntimeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: RuntimeBuild, command: object) -> None:
        self.folder.mkdir(exist_ok=True)
        raise BuildError("no")

    monkeypatch.setattr(RuntimeBuild, "_run", fail)
    with pytest.raises(BuildError):
        build.run()
    assert not (build.folder / STAMP).exists()


def test_too_little_space_is_found_before_anything_is_removed(
    build: RuntimeBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(build)
    build.lock.write_text("a==2\n")
    usage = shutil.disk_usage("/")._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BuildError, match=r"needs 4 GB and .* has 1\.0 GB free"):
        build.run()
    assert build.python.exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("error: Failed to fetch: `x`\n  dns error: failed to lookup", "Check the network"),
        ("one\ntwo\nthree\nhash mismatch", "two / three / hash mismatch"),
    ],
)
def test_an_installers_many_lines_become_one(output: str, words: str) -> None:
    message = str(runtime_build._explained("ml", output))
    assert words in message
    assert "\n" not in message


def test_a_full_disk_is_told_by_its_number_too() -> None:
    error = OSError(errno.ENOSPC, "no")
    assert "disk is full" in str(runtime_build._explained("ml", str(error), error))
