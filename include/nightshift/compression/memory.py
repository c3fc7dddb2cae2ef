"""What a model needs in memory: the peak of a process of its own that loads and asks it.

``python -m nightshift.compression.memory MODEL ROWS`` prints by how many bytes the process's peak
exceeds what it held before it loaded the model.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nightshift.errors import NightshiftError


def peak_bytes(model: Path, rows: int) -> int:
    """Peak memory that loading the model and asking it once for so many rows adds, in bytes."""
    command = [sys.executable, "-m", "nightshift.compression.memory", str(model), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NightshiftError(
            f"{model.name}: the process that measures its memory ended with code "
            f"{done.returncode}: {done.stderr[-500:]}"
        )
    return int(done.stdout.split()[-1])


def _measure(model: Path, rows: int) -> int:
    import numpy as np

    from nightshift.compression.litert import LiteModel

    # 5 sets the peak back to what is held now: importing reached higher than that.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    loaded = LiteModel(model, threads=1)
    tensors = {
        name: np.zeros((rows, *(int(n) for n in d["shape_signature"][1:])), d["dtype"])
        for name, d in loaded.inputs.items()
    }
    loaded.place(tensors)
    loaded.answer()
    return max(_resident("VmHWM") - before, 0)


def _resident(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise NightshiftError(f"/proc/self/status has no {field}: memory is measured on Linux alone")


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]), int(sys.argv[2])))
