"""What OpenLineage is told of a step, through the client's own classes and transport."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.serde import Serde

from nightshift.artifacts.manifest import ArtifactRef, FileEntry, Manifest
from nightshift.artifacts.store import Artifact
from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.steps.catalog import STEPS
from nightshift.steps.contract import StepRequest
from nightshift_airflow.openlineage_datasets import registration_lineage, step_lineage

NIGHT = date(2013, 8, 31)


def ref(kind: str, key: str) -> ArtifactRef:
    uri = f"s3://nightshift/flights/artifacts/{kind}/{key}"
    return ArtifactRef(kind=kind, key=key, uri=uri, digest="d" * 64)


def pinned(day: int, split: Split, part: int = 0) -> PinnedFile:
    key = f"flights/date=2013-08-{day:02}/part-{part}.parquet"
    digest = hashlib.sha256(key.encode()).hexdigest()
    return PinnedFile(
        date=date(2013, 8, day),
        split=split,
        key=key,
        version_id=f"v{day}{part}",
        sha256=digest,
        size=100,
        rows=10,
    )


class Store:
    """A store of one snapshot: two days to train on, the second in two files, one held out."""

    def open(self, asked: ArtifactRef) -> Artifact:
        manifest = Manifest(
            pipeline="flights",
            kind=asked.kind,
            key=asked.key,
            attempt="a",
            files={"x": FileEntry(size=7, sha256="e"), "y": FileEntry(size=5, sha256="f")},
            created=datetime(2013, 9, 1, tzinfo=UTC),
        )
        return Artifact(asked, manifest)

    def read(self, artifact: Artifact, name: str) -> bytes:
        files = (
            pinned(28, Split.TRAIN),
            pinned(29, Split.TRAIN, 0),
            pinned(29, Split.TRAIN, 1),
            pinned(31, Split.HOLDOUT),
        )
        snapshot = Snapshot(pipeline="flights", night=NIGHT, bucket="lake", files=files)
        return snapshot.model_dump_json().encode()


def lineage(step: str, made: ArtifactRef | None, instance: str = "", **inputs: ArtifactRef) -> Any:
    request = StepRequest(
        step=step,
        pipeline="flights",
        night=NIGHT,
        key="k",
        attempt="a",
        inputs=inputs,
        folder=Path("flights"),
    )
    store: Any = Store()
    said = step_lineage(store, request, made, STEPS[step].reads, instance)
    return {side: as_json(getattr(said, side)) for side in ("inputs", "outputs")}


def as_json(datasets: list[Any]) -> list[dict[str, Any]]:
    return [Serde.to_dict(dataset) for dataset in datasets]


def versions(datasets: list[dict[str, Any]]) -> list[str]:
    return [dataset["facets"]["version"]["datasetVersion"] for dataset in datasets]


def test_a_snapshot_reads_days_of_the_lake() -> None:
    said = lineage("snapshot", ref("snapshot", "s1"))
    assert versions(said["inputs"]) == ["v280", "v290,v291", "v310"]
    day = said["inputs"][1]
    assert (day["namespace"], day["name"]) == ("s3://lake", "flights/date=2013-08-29")
    statistics = day["inputFacets"]["inputStatistics"]
    assert (statistics["fileCount"], statistics["rowCount"], statistics["size"]) == (2, 20, 200)


def test_a_training_reads_its_window_and_makes_a_model() -> None:
    said = lineage("train", ref("model", "m1"), snapshot=ref("snapshot", "s1"))
    assert versions(said["inputs"]) == ["v280", "v290,v291", "v310", "s1"]
    (made,) = said["outputs"]
    assert (made["name"], versions([made])) == ("flights/artifacts/model", ["m1"])
    assert made["outputFacets"]["outputStatistics"]["size"] == 12


def test_an_evaluation_reads_the_holdout_alone() -> None:
    said = lineage("evaluate", ref("evaluation", "e"), snapshot=ref("snapshot", "s1"))
    assert versions(said["inputs"]) == ["v310", "s1"]


def test_a_gate_reads_no_row() -> None:
    said = lineage("gate", ref("gate", "g"), snapshot=ref("snapshot", "s"), evaluate=ref("e", "e"))
    assert len(said["inputs"]) == 2


def test_names_are_the_same_night_after_night() -> None:
    one = lineage("train", ref("model", "m1"), snapshot=ref("snapshot", "s1"))
    two = lineage("train", ref("model", "m2"), snapshot=ref("snapshot", "s2"))
    assert [d["name"] for d in one["outputs"]] == [d["name"] for d in two["outputs"]]


def test_variants_are_told_apart() -> None:
    said = lineage("quantize", ref("variant", "v"), "int8", snapshot=ref("snapshot", "s"))
    assert said["outputs"][0]["name"].endswith("flights/artifacts/variant/int8")


def test_a_failed_step_has_no_output() -> None:
    said = lineage("train", None, snapshot=ref("snapshot", "s"))
    assert said["outputs"] == []
    assert said["inputs"]


def test_a_registration_makes_a_version() -> None:
    said = registration_lineage("flights", {"train": ref("model", "m")}, ref("model", "m"), 7)
    (made,) = as_json(said.outputs)
    assert (made["namespace"], made["name"]) == ("s3://nightshift", "flights/versions")
    assert made["facets"]["version"]["datasetVersion"] == "7"


@pytest.mark.parametrize("step", sorted(STEPS))
def test_steps_that_read_rows_know_their_snapshot(step: str) -> None:
    spec = STEPS[step]
    assert not spec.reads or step == "snapshot" or "snapshot" in spec.inputs
