"""The processor's name, and whether it has an INT8 dot product."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.compression.processor import this_processor

X86 = """processor\t: 0
model name\t: An x86 processor
flags\t\t: fpu sse avx2 {flags}

processor\t: 1
model name\t: Another
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
"""


@pytest.mark.parametrize(
    ("text", "name", "dot_products"),
    [
        (X86.format(flags=""), "An x86 processor", ()),
        (X86.format(flags="avx512_vnni"), "An x86 processor", ("AVX-512 VNNI",)),
        (X86.format(flags="avx_vnni amx_int8"), "An x86 processor", ("AVX VNNI", "AMX INT8")),
        (ARM, None, ("Arm dot product",)),
    ],
)
def test_flags_mean_an_int8_dot_product(
    text: str, name: str | None, dot_products: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    found = this_processor(tmp_path / "cpuinfo")
    assert found.int8_dot_products == dot_products
    assert name is None or found.name == name


def test_this_machine_has_a_name_and_cores() -> None:
    found = this_processor()
    assert found.name
    assert found.cores >= 1
