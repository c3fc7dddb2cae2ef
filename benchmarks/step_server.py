"""Run steps one after another in one process of their runtime, which imports its libraries once.

Each line of standard input is the path of a request's JSON; its result is written beside it as
``<name>.result.json``, and the path printed. What runs is what a step's own process runs.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from nightshift.artifacts.store import ArtifactStore
from nightshift.steps.contract import StepRequest
from nightshift.steps.run import execute
from nightshift.storage.s3 import artifact_bucket


def main() -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    store = ArtifactStore(artifact_bucket())
    for line in sys.stdin:
        path = Path(line.strip())
        result = execute(StepRequest.model_validate_json(path.read_bytes()), store)
        answer = path.with_suffix(".result.json")
        answer.write_text(result.model_dump_json())
        print(answer, flush=True)


if __name__ == "__main__":
    main()
