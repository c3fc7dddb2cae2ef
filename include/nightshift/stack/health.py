"""Whether a process works, asked the way its clients would ask."""

from __future__ import annotations

from typing import Any

import httpx

from nightshift.stack.processes import Process

_SECONDS = 3.0


def is_healthy(process: Process) -> bool:
    """Whether the process answers, and Airflow's health page speaks for it where it must."""
    try:
        # Never by way of a proxy that this shell may name: the stack is on this machine.
        with httpx.Client(trust_env=False, timeout=_SECONDS) as client:
            answer = client.get(process.health)
    except httpx.HTTPError:
        return False
    if not answer.is_success:
        return False
    return process.airflow_part is None or _part_is_healthy(answer.json(), process.airflow_part)


def _part_is_healthy(health: dict[str, Any], part: str) -> bool:
    return (health.get(part) or {}).get("status") == "healthy"
