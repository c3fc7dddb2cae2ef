"""A step ends when whoever started it dies, however it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PARENT = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, start_new_session=True
)
print(child.pid, flush=True)
time.sleep(60)
"""


def ended(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("guard", ["die_with_parent()", "end_group_on_eof(0)"])
def test_killing_the_parent_ends_the_step(guard: str) -> None:
    step = textwrap.dedent(f"""
        import time
        from nightshift.steps.lifeline import die_with_parent, end_group_on_eof
        {guard}
        time.sleep(60)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, step], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    assert not ended(child, 0.1)
    parent.kill()
    parent.wait()
    assert ended(child)


def test_the_steps_own_children_end_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    step = textwrap.dedent(f"""
        import subprocess, sys, time
        from nightshift.steps.lifeline import end_group_on_eof
        inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open({str(note)!r}, "w").write(str(inner.pid))
        end_group_on_eof(0)
        time.sleep(60)
    """)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, step], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    while not (note.exists() and note.read_text()):
        time.sleep(0.05)
    inner = int(note.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert ended(inner)


def test_a_step_that_starts_after_its_parent_died_ends_too(tmp_path: Path) -> None:
    """Parent and reader of the output are both gone before the step asks for its lifeline."""
    note = tmp_path / "alive"
    step = textwrap.dedent(f"""
        import os, time
        from nightshift.steps.lifeline import die_with_parent, end_group_on_eof
        time.sleep(1)
        die_with_parent()
        end_group_on_eof(0)
        time.sleep(3)
        open({str(note)!r}, "w").write("still here")
    """)
    parent = textwrap.dedent("""
        import os, subprocess, sys
        child = subprocess.Popen(
            [sys.executable, "-u", "-c", sys.argv[1]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        print(child.pid, flush=True)
        os._exit(9)
    """)
    done = subprocess.run(
        [sys.executable, "-c", parent, step], capture_output=True, text=True, check=False
    )
    assert ended(int(done.stdout))
    assert not note.exists()
