"""Where pipelines are, by name; reads nothing of them."""

from __future__ import annotations

import os
from pathlib import Path


def pipelines_root() -> Path:
    """The folder of all pipelines: ``NIGHTSHIFT_PIPELINES`` or ``include/pipelines``."""
    configured = os.environ.get("NIGHTSHIFT_PIPELINES")
    return Path(configured) if configured else Path(__file__).parents[2] / "pipelines"


def pipeline_names() -> list[str]:
    """Names of all pipeline folders, sorted."""
    return sorted(p.parent.name for p in pipelines_root().glob("*/pipeline.yaml"))
