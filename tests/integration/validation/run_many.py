"""Run many requests in one process of a step's own runtime: it imports its libraries once.

``python run_many.py FOLDER``: each ``NAME.request.json`` there gets its ``NAME.result.json``. What
runs is what a step's own process runs. A name that starts with ``beam`` is counted by Beam.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from nightshift.artifacts.store import ArtifactStore
from nightshift.steps.contract import StepRequest
from nightshift.steps.run import execute
from nightshift.storage.s3 import artifact_bucket
from nightshift.validation import beam


def main(folder: Path) -> None:
    """Run them all, in order of their names."""
    logging.basicConfig(level=logging.WARNING)
    store = ArtifactStore(artifact_bucket())
    usual = beam.ROWS_IN_MEMORY
    for path in sorted(folder.glob("*.request.json")):
        name = path.name.removesuffix(".request.json")
        beam.ROWS_IN_MEMORY = 0 if name.startswith("beam") else usual
        result = execute(StepRequest.model_validate_json(path.read_bytes()), store)
        (folder / f"{name}.result.json").write_text(result.model_dump_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
