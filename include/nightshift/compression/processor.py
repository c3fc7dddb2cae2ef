"""The processor at hand: its name, and whether it multiplies 8-bit integers in one instruction.

A speed is only worth anything beside these: without such a dot product an INT8 model is smaller
and no faster.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict

DOT_PRODUCTS = {
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx_vnni_int8": "AVX VNNI INT8",
    "amx_int8": "AMX INT8",
    "asimddp": "Arm dot product",
    "i8mm": "Arm INT8 matrix multiplication",
}
"""Flags of ``/proc/cpuinfo`` that mean an INT8 dot product, with their common names."""


class Processor(BaseModel):
    """What a measurement ran on."""

    model_config = ConfigDict(frozen=True)

    name: str
    cores: int
    """Cores that this process may use."""
    int8_dot_products: tuple[str, ...]
    """Instructions for INT8 dot products; empty where it has none."""

    def __str__(self) -> str:
        has = ", ".join(self.int8_dot_products) or "no INT8 dot product"
        return f"{self.name}, {self.cores} cores, {has}"


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """The processor of this machine, as Linux describes it."""
    fields = _fields(cpuinfo)
    flags = {*fields.get("flags", "").split(), *fields.get("Features", "").split()}
    return Processor(
        name=fields.get("model name") or platform.processor() or platform.machine(),
        cores=cores(),
        int8_dot_products=tuple(name for flag, name in DOT_PRODUCTS.items() if flag in flags),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _fields(cpuinfo: Path) -> dict[str, str]:
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
