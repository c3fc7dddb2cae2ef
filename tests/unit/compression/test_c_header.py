"""The C array: compiles as C and as C++, and holds the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nightshift.compression.c_header import c_header

CONTENT = bytes(range(256)) * 3 + b"\x00\xff*/"
PROGRAM = """
#include <stdio.h>
#include <stdint.h>
#include "fashion_model.h"
#include "fashion_model.h"

int main(void) {
    fwrite(fashion_model, 1, fashion_model_size, stdout);
    return ((uintptr_t)fashion_model % 16 != 0) || sizeof fashion_model != FASHION_MODEL_SIZE;
}
"""


@pytest.mark.parametrize(("compiler", "language"), [("cc", "c11"), ("c++", "c++11")])
def test_it_compiles_and_holds_the_same_bytes(compiler: str, language: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} on this machine")
    header = c_header("fashion", CONTENT, "version 7\nsha */ tricky")
    (tmp_path / "fashion_model.h").write_text(header)
    source = tmp_path / ("main.c" if compiler == "cc" else "main.cc")
    source.write_text(PROGRAM)
    command = [compiler, f"-std={language}", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([*command, source, "-o", tmp_path / "main"], check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout == CONTENT
