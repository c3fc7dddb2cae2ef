"""Every compression target on ``fashion``: the night of 2024-03-01, whose holdout is the test set.

The pipeline's own steps, each as a process, against an object store of this benchmark's own. Prints
tables in Markdown; the report lies in FOLDER.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.compression.accept import BudgetsResult
from nightshift.compression.budgets import metric_drop
from nightshift.compression.result import Measured, Variants
from nightshift.data.lake import Lake
from nightshift.data.seed import seed
from nightshift.definition.compression import Target
from nightshift.definition.load import load_pipeline
from nightshift.definition.model import PipelineDefinition
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepResult
from nightshift.steps.launch import run_step
from nightshift.steps.plan import plan_step

NIGHT = date(2024, 3, 1)


class Night:
    """One night's steps, by name, as far as they were run."""

    def __init__(self, definition: PipelineDefinition, store: ArtifactStore) -> None:
        self.definition = definition
        self.store = store
        self.tensorflow = 0
        """Processes that imported TensorFlow."""

    def run(
        self, step: str, own: dict[str, Any] | None = None, **inputs: ArtifactRef
    ) -> StepResult:
        """Run or reuse one step; says how long it took."""
        named = {name.replace("__", "."): ref for name, ref in inputs.items()}
        request = plan_step(STEPS[step], self.definition, NIGHT, named, own=own, by="benchmark")
        started = time.monotonic()
        result = run_step(request, self.store, on_line=lambda line: print(f"    {line}"))
        assert result.artifact is not None, result.error
        self.tensorflow += result.tensorflow
        how = "reused" if result.reused else f"{time.monotonic() - started:.1f} s"
        print(f"{step} {(own or {}).get('recipe', {}).get('target', '')}: {how}", flush=True)
        return result


def main() -> None:
    """Run the night, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, help="train for fewer epochs than the pipeline")
    parser.add_argument("--only", help="stop after this step")
    arguments = parser.parse_args()
    definition = load_pipeline("fashion")
    if arguments.epochs:
        training = definition.training.model_copy(update={"epochs": arguments.epochs})
        definition = definition.model_copy(update={"training": training})
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with SeaweedServer(folder / "s3").start() as server:
        s3 = S3(server.ready(), "artifacts", "lake")
        if not (folder / "seeded").exists():
            make_buckets(server.client_environment, "artifacts", "lake")
        os.environ.update(s3.environment)
        if not (folder / "seeded").exists():
            seed(Lake(s3.lake, "fashion"))
            (folder / "seeded").touch()
        _night(Night(definition, ArtifactStore(s3.artifacts)), folder, arguments.only)


def _night(night: Night, folder: Path, only: str | None) -> None:
    snapshot = _made(night.run("snapshot"))
    trained = night.run("train", snapshot=snapshot)
    print(f"train: {trained.metrics}")
    if only == "train":
        return
    train: ArtifactRef = _made(trained)
    variants: dict[str, Any] = {}
    for target in night.definition.compression.targets:
        recipe = night.definition.compression.recipe_of(target).model_dump(mode="json")
        made = night.run("quantize", {"recipe": recipe}, snapshot=snapshot, train=train)
        variants[f"quantize__{target}"] = _made(made)
        if only == target:
            return
    measured = _made(night.run("evaluate_variants", snapshot=snapshot, **variants))
    judged = _made(night.run("budgets", evaluate_variants=measured))
    registered = {"version": 1, "night": NIGHT.isoformat(), "model_digest": train.digest}
    edge = night.definition.compression.edge
    assert edge is not None
    bundle = night.run(
        "edge", {"registered": registered}, budgets=judged, quantize=variants[f"quantize__{edge}"]
    )
    store = night.store
    store.fetch(store.open(judged), folder / "budgets")
    store.fetch(store.open(_made(bundle)), folder / "edge")
    body = store.read(store.open(measured), "variants.json")
    _print(Variants.model_validate_json(body), folder, night)
    print(f"\nProcesses that imported TensorFlow: {night.tensorflow}. Report: {folder}/budgets")


def _print(variants: Variants, folder: Path, night: Night) -> None:
    text = (folder / "budgets" / "budgets.json").read_text(encoding="utf-8")
    judged = BudgetsResult.model_validate_json(text)
    floats = variants.baseline
    assert floats is not None
    print(f"\n{variants.rows:,} test images, {variants.processor}\n")
    print(
        "| model | bytes | of float | gzip | accuracy | points lost | log loss | other class "
        "| peak MB | float operators | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    _print_row("float", floats, floats, "")
    for variant in variants.variants:
        verdict = judged.of(variant.target)
        assert verdict is not None
        if variant.measured:
            shown = "accepted" if verdict.accepted else f"rejected: {verdict.reason}"
            _print_row(variant.target, variant.measured, floats, shown)
        if variant.served:
            print(
                f"| int8, served | {variant.served.size:,} | "
                f"{variant.served.size / floats.size:.4f} | | | | | largest difference "
                f"{variant.served.largest_difference:g} | | "
                f"{len(variant.served.float_operators)} | |"
            )
    print("\n| model | load | p50 ms | p99 ms | of float |\n|---|---|---|---|---|")
    models = {"float": floats} | {v.target: v.measured for v in variants.variants if v.measured}
    for name, model in models.items():
        for mine in model.latencies:
            theirs = floats.latency(threads=mine.threads, rows=mine.rows)
            print(
                f"| {name} | {mine.rows} rows, {mine.threads} threads | {mine.p50_ms:.3f} | "
                f"{mine.p99_ms:.3f} | {mine.p50_ms / theirs.p50_ms:.2f} |"
            )


def _print_row(name: Target | str, ours: Measured, floats: Measured, verdict: str) -> None:
    accuracy = ours.scores.accuracy
    drop = metric_drop(ours, floats, night_metric())
    assert accuracy is not None and drop is not None
    fallen = len(ours.float_operators) if Target.INT8.value in str(name) else "by design"
    print(
        f"| {name} | {ours.size:,} | {ours.size / floats.size:.4f} | {ours.gzip_size:,} | "
        f"{accuracy:.4f} | {100 * drop:+.2f} | {ours.scores.log_loss:.4f} | "
        f"{ours.disagreement:.2%} | {ours.peak_bytes / 1e6:.2f} | {fallen} | {verdict} |"
    )


def night_metric() -> Any:
    """The pipeline's main metric."""
    return load_pipeline("fashion").gates[0].metric


def _made(result: StepResult) -> ArtifactRef:
    assert result.artifact is not None, result.error
    return result.artifact


if __name__ == "__main__":
    main()
