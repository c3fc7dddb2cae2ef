"""The largest difference of every metric between TFMA and the evaluation of a night.

Prints Markdown: one row a metric, overall and in slices, of each pipeline. Ends with 1 where any
value is further off than the audit step allows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from nightshift.definition.load import load_pipeline
from nightshift.evaluation.audit import Audit, audited
from nightshift.evaluation.predictions import PREDICTIONS_FILE
from nightshift.evaluation.result import METRICS_FILE, Evaluation


def main(arguments: list[str]) -> int:
    """Compare every night named."""
    wrong = 0
    for argument in arguments:
        pipeline, _, folder = argument.partition("=")
        wrong += _compare(pipeline, Path(folder))
    return 1 if wrong else 0


def _compare(pipeline: str, folder: Path) -> int:
    definition = load_pipeline(pipeline)
    text = (folder / METRICS_FILE).read_text(encoding="utf-8")
    evaluation = Evaluation.model_validate_json(text)
    started = time.monotonic()
    audit = audited(
        evaluation,
        folder / PREDICTIONS_FILE,
        (*definition.slices, *definition.sensitive),
        definition.label.classes,
        definition.evaluation,
    )
    rows, seconds = evaluation.overall.rows, time.monotonic() - started
    groups = len(evaluation.slices)
    print(f"\n### `{pipeline}`, night of {evaluation.night}: {rows:,} rows, {groups} groups\n")
    print(f"TFMA {audit.tfma}, {seconds:.0f} s with its import.\n")
    _print(audit)
    return len(audit.disagreements)


def _print(audit: Audit) -> None:
    print("| metric | in | values | largest difference | limit |\n|---|---|---|---|---|")
    for line in audit.largest:
        where = "slices" if line.worst.slice else "all rows"
        difference = "one side alone" if line.difference is None else f"{line.difference:.1e}"
        limit = "shown only" if line.limit is None else f"{line.limit:.0e}"
        print(f"| {line.worst.metric} | {where} | {line.compared} | {difference} | {limit} |")
    for pair in audit.disagreements:
        print(f"\nDISAGREES: {pair.title}: {pair.ours} here, {pair.theirs} by TFMA")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
