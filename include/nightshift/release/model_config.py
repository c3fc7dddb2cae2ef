"""The model server's configuration file: one specific version of each pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def render_config(served: Mapping[str, tuple[Path, int]]) -> str:
    """A ``ModelServerConfig`` as protobuf text.

    Args:
        served: Base path and version by pipeline. A version that is named here alone is loaded;
            the newest one on disk has no meaning of its own.
    """
    configs = "".join(_config(name, *served[name]) for name in sorted(served))
    return f"model_config_list {{\n{configs}}}\n"


def _config(name: str, base_path: Path, version: int) -> str:
    return (
        "  config {\n"
        f'    name: "{name}"\n'
        f'    base_path: "{base_path}"\n'
        '    model_platform: "tensorflow"\n'
        f"    model_version_policy {{ specific {{ versions: {version} }} }}\n"
        "  }\n"
    )
