"""Steps ``quantize``, ``evaluate_variants``, ``budgets`` and ``edge`` as processes against S3."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nightshift.compression.accept import BudgetsResult
from nightshift.compression.bundle import NOTE, Metadata
from nightshift.compression.litert import LiteModel
from nightshift.compression.result import Variants
from nightshift.compression.served import choose_served
from nightshift.compression.tflite_file import note_of
from nightshift.compression.variant import Variant
from nightshift.definition.compression import Target
from nightshift.errors import ErrorKind
from tests.integration.compression.conftest import COMPRESSION, CompressedNight, made
from tests.integration.training.small_night import HOLDOUT_DAYS, ROWS_PER_DAY


def _fetch(compressed: CompressedNight, step: str, into: Path) -> Path:
    return compressed.night.fetch(compressed.results[step].artifact, into)


def test_each_target_has_a_key_of_its_own_and_budgets_are_no_part_of_it(
    compressed: CompressedNight,
) -> None:
    night, definition = compressed.night, compressed.definition
    inputs = {"snapshot": compressed.snapshot, "train": compressed.train}
    cheaper = night.definition(
        features={"size": "float", "weight": "float"},
        compression={**COMPRESSION, "budgets": {"max_size_ratio": 0.1}},
    )

    def key(target: str, pipeline=definition) -> str:  # type: ignore[no-untyped-def]
        recipe = pipeline.compression.recipe_of(Target(target)).model_dump(mode="json")
        return night.request("quantize", inputs, pipeline, own={"recipe": recipe}).key

    assert key("int8") != key("pruned")
    assert key("int8") == key("int8", cheaper) == compressed.variants["quantize.int8"].key


def test_the_full_integer_variant_takes_and_gives_integers(
    compressed: CompressedNight, tmp_path: Path
) -> None:
    folder = compressed.night.fetch(compressed.variants["quantize.int8"], tmp_path)
    variant = Variant.model_validate_json((folder / "variant.json").read_bytes())
    assert variant.float_operators == ()
    assert variant.calibrated_on == 200
    model = LiteModel(folder / "model.tflite")
    assert {d["dtype"] for d in [*model.inputs.values(), model.output]} == {np.int8}


def test_the_served_variant_has_the_float_models_signature(
    compressed: CompressedNight, tmp_path: Path
) -> None:
    folder = compressed.night.fetch(compressed.variants["quantize.int8"], tmp_path)
    model = LiteModel(folder / "saved_model/model.tflite")
    assert {name: d["dtype"] for name, d in model.inputs.items()} == {
        "size": np.float32,
        "weight": np.float32,
    }
    assert model.output["dtype"] is np.float32
    assert (folder / "saved_model/assets.extra/tf_serving_warmup_requests").is_file()
    golden = json.loads((folder / "golden.json").read_text())
    inputs = {name: np.array(values, np.float32) for name, values in golden["inputs"].items()}
    np.testing.assert_allclose(
        model.predict(inputs), golden["outputs"]["probability"], rtol=0, atol=1e-7
    )


def test_every_variant_is_asked_about_the_whole_holdout_without_tensorflow(
    compressed: CompressedNight, tmp_path: Path
) -> None:
    result = compressed.results["evaluate_variants"]
    assert not result.tensorflow
    folder = _fetch(compressed, "evaluate_variants", tmp_path)
    variants = Variants.model_validate_json((folder / "variants.json").read_bytes())
    assert variants.rows == HOLDOUT_DAYS * (ROWS_PER_DAY - 7)
    assert variants.baseline is not None and variants.baseline.disagreement == 0
    int8, pruned = sorted(variants.variants, key=lambda v: v.target)
    assert int8.measured is not None and pruned.measured is not None
    assert int8.measured.size < 0.6 * variants.baseline.size
    assert int8.measured.disagreement < 0.1
    assert int8.served is not None and int8.served.largest_difference == 0
    assert pruned.measured.gzip_size < variants.baseline.gzip_size
    assert pruned.sparsity is not None and abs(pruned.sparsity - 0.7) < 0.01
    assert all(m.peak_bytes > 0 for m in (int8.measured, pruned.measured))


def test_a_variant_over_its_budget_is_rejected_alone_with_its_numbers(
    compressed: CompressedNight, tmp_path: Path
) -> None:
    result = compressed.results["budgets"]
    assert result.error is None
    assert (result.metrics["int8.accepted"], result.metrics["pruned.accepted"]) == (1, 0)
    folder = _fetch(compressed, "budgets", tmp_path)
    judged = BudgetsResult.model_validate_json((folder / "budgets.json").read_bytes())
    rejected = judged.of(Target.PRUNED)
    assert rejected is not None and "size: 1, limit 0.5" in rejected.reason
    assert any("pruned: rejected: size: 1, limit 0.5" in n for n in compressed.lines["budgets"])
    page = (folder / "report.html").read_text()
    assert rejected.reason.split(" (")[0].replace("<", "&lt;") in page
    assert "<svg" in page and "http" not in page


@pytest.mark.parametrize(
    ("serve", "served"), [("float", None), ("int8", "quantize.int8"), ("pruned", None)]
)
def test_hosts_get_an_accepted_variant_and_the_float_model_in_place_of_a_rejected_one(
    compressed: CompressedNight, serve: str, served: str | None
) -> None:
    made_by = {**compressed.variants, "budgets": made(compressed.results["budgets"])}
    choice = choose_served(compressed.night.store, serve, made_by)
    assert choice.variant == (made_by[served] if served else None)
    assert ("size: 1, limit 0.5" in choice.rejected) == (serve == "pruned")


def test_other_budgets_judge_again_what_was_measured(compressed: CompressedNight) -> None:
    loose = compressed.night.definition(
        features={"size": "float", "weight": "float"},
        compression={**COMPRESSION, "overrides": {}, "budgets": {}},
    )
    measured = {"evaluate_variants": made(compressed.results["evaluate_variants"])}
    again = compressed.night.run("budgets", measured, loose)
    assert again.metrics["pruned.accepted"] == 1


def test_the_edge_bundle_describes_the_file_that_it_holds(
    compressed: CompressedNight, tmp_path: Path
) -> None:
    folder = _fetch(compressed, "edge", tmp_path)
    content = (folder / "small.tflite").read_bytes()
    metadata = Metadata.model_validate_json((folder / "metadata.json").read_bytes())
    assert (metadata.version, metadata.size) == (7, len(content))
    assert [t.type for t in (*metadata.inputs, *metadata.outputs)] == ["int8"] * 3
    assert metadata.labels == ("not late", "late")
    inside = note_of(content, NOTE)
    assert inside is not None
    assert json.loads(inside).items() <= metadata.model_dump(mode="json").items()
    model = LiteModel(content)
    for tensor in (*metadata.inputs, *metadata.outputs):
        detail = {**model.inputs, "probability": model.output}[tensor.name]
        assert tensor.quantization is not None
        assert (tensor.quantization.scale, tensor.quantization.zero_point) == detail["quantization"]


def test_the_readme_of_the_bundle_runs_as_it_says(
    compressed: CompressedNight,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # type: ignore[no-untyped-def]
    folder = _fetch(compressed, "edge", tmp_path)
    program = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(folder)
    exec(compile(program, "README.md", "exec"), {})
    answer = float(capsys.readouterr().out.strip(" []\n"))
    expected = LiteModel(folder / "small.tflite").predict(
        {"size": np.zeros(1, np.float32), "weight": np.zeros(1, np.float32)}
    )
    assert answer == float(expected[0])


def test_no_bundle_is_made_of_a_rejected_variant(compressed: CompressedNight) -> None:
    error = compressed.edge(made(compressed.results["budgets"]), Target.PRUNED).error
    assert error is not None and error.kind is ErrorKind.GATE_FAILED
    assert "size: 1, limit 0.5" in error.message
