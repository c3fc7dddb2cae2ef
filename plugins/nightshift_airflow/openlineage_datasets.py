"""A step in OpenLineage's words: partitions of the lake and artifacts in, an artifact out.

Names stay the same from night to night, so that a backend draws one graph; the ``version`` facet
says which bytes it was: a file's version in the lake, an artifact's key.

======================  ==============================================  ========================
dataset                 name, in the namespace ``s3://<bucket>``        version
======================  ==============================================  ========================
a day of the lake       ``<dataset>/date=YYYY-MM-DD``                   version ids of its files
an artifact             ``<pipeline>/artifacts/<kind>[/<instance>]``    its key
a registered version    ``<pipeline>/versions``                         its number
======================  ==============================================  ========================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    dataset_version_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    storage_dataset,
)

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.pinned import SNAPSHOT_FILE, PinnedFile, Snapshot, Split
from nightshift.steps.contract import StepRequest

_SNAPSHOT = "snapshot"


def step_lineage(
    store: ArtifactStore,
    request: StepRequest,
    made: ArtifactRef | None,
    reads: Sequence[Split],
    instance: str = "",
) -> OperatorLineage:
    """What one step read and made.

    Args:
        store: Where the snapshot's list of files is read from.
        request: What the step was asked.
        made: What it made or found made; None where it failed.
        reads: Parts of the window whose rows it reads from the lake.
        instance: Which one of a mapped step's it is.
    """
    pinned = request.inputs.get(_SNAPSHOT) or (made if request.step == _SNAPSHOT else None)
    days = _days(store, pinned, reads) if pinned and reads else ()
    inputs = [*days, *(_artifact_in(name, ref) for name, ref in request.inputs.items())]
    outputs = [_artifact_out(store, made, instance)] if made else []
    return OperatorLineage(inputs=inputs, outputs=outputs)


def registration_lineage(
    pipeline: str, inputs: Mapping[str, ArtifactRef], released: ArtifactRef, version: int
) -> OperatorLineage:
    """What a version was registered from."""
    namespace = _place(released)[0]
    facets = {"version": _version(str(version))}
    return OperatorLineage(
        inputs=[_artifact_in(name, ref) for name, ref in inputs.items()],
        outputs=[OutputDataset(namespace, f"{pipeline}/versions", facets=facets)],
    )


def _days(store: ArtifactStore, pinned: ArtifactRef, reads: Sequence[Split]) -> list[Dataset]:
    snapshot = Snapshot.model_validate_json(store.read(store.open(pinned), SNAPSHOT_FILE))
    wanted = (file for file in snapshot.files if file.split in reads)
    return [
        _partition(snapshot.bucket, folder, tuple(files))
        for folder, files in groupby(wanted, key=lambda file: file.key.rpartition("/")[0])
    ]


def _partition(bucket: str, folder: str, files: Sequence[PinnedFile]) -> Dataset:
    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=sum(file.rows for file in files),
        size=sum(file.size for file in files),
        fileCount=len(files),
    )
    version = ",".join(file.version_id or f"sha256:{file.sha256}" for file in files)
    facets: dict[str, Any] = {
        "version": _version(version),
        "storage": storage_dataset.StorageDatasetFacet(storageLayer="s3", fileFormat="parquet"),
    }
    return InputDataset(
        f"s3://{bucket}", folder, facets=facets, inputFacets={"inputStatistics": statistics}
    )


def _artifact_in(name: str, ref: ArtifactRef) -> Dataset:
    namespace, dataset = _place(ref, name.partition(".")[2])
    return InputDataset(namespace, dataset, facets={"version": _version(ref.key)})


def _artifact_out(store: ArtifactStore, ref: ArtifactRef, instance: str) -> Dataset:
    namespace, dataset = _place(ref, instance)
    files = store.open(ref).manifest.files.values()
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        size=sum(file.size for file in files), fileCount=len(files)
    )
    return OutputDataset(
        namespace,
        dataset,
        facets={"version": _version(ref.key)},
        outputFacets={"outputStatistics": statistics},
    )


def _place(ref: ArtifactRef, instance: str = "") -> tuple[str, str]:
    """Namespace and name: the address without the key."""
    bucket, _, path = ref.uri.removeprefix("s3://").partition("/")
    folder = path.rpartition("/")[0]
    return f"s3://{bucket}", f"{folder}/{instance}" if instance else folder


def _version(version: str) -> Any:
    return dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=version)
