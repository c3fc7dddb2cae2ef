"""What a model card holds: the content of ``model_card.json``.

Its parts are those of Mitchell et al. 2019, "Model Cards for Model Reporting" (details, intended
use, data, metrics by factor, considerations), and the record that led to the version's release.
What was measured is copied whole, so that the card is readable where nothing else is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.compression.budgets import VariantVerdict
from nightshift.compression.result import Variants
from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.definition.card import CardTexts
from nightshift.definition.model import Dataset, Feature, Label
from nightshift.evaluation.result import Evaluation
from nightshift.gates.result import GateResult
from nightshift.lineage.chain import Link
from nightshift.release.candidate import Candidate


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Period(_Part):
    """One part of the data."""

    first: date
    last: date
    files: int
    rows: int
    bytes: int


class Data(_Part):
    """What the version was trained and measured on."""

    dataset: Dataset
    label: Label
    features: dict[str, Feature]
    periods: dict[Split, Period]
    warnings: tuple[str, ...]
    """What the data validation warned of."""


class Training(_Part):
    """How it was fitted."""

    parameters: dict[str, Any]
    """Section ``training`` of pipeline.yaml as it was that night."""
    tuned: dict[str, Any]
    """Parameters that the search before it found."""
    metrics: dict[str, float]


class Compression(_Part):
    """The smaller variants of the model."""

    variants: Variants
    verdicts: tuple[VariantVerdict, ...]


class Made(_Part):
    """One artifact of the chain."""

    name: str
    ref: ArtifactRef
    by: str
    at: datetime
    code_version: str
    code: dict[str, str]
    """SHA-256 of each part of the code that ran, the runtime's lock among them."""


class ModelCard(_Part):
    """One version of one pipeline's model."""

    pipeline: str
    version: int
    night: date
    description: str
    owner: str
    texts: CardTexts
    candidate: Candidate
    """The version as it was registered, the person's decision with it where there was one."""
    data: Data
    training: Training
    evaluation: Evaluation
    gate: GateResult
    compression: Compression | None
    chain: tuple[Made, ...]
    """Every artifact below the version, inputs first."""
    files: tuple[PinnedFile, ...]
    """Every file of the lake below it."""


def data_of(links: Mapping[str, Link], snapshot: Snapshot, dataset: Dataset) -> Data:
    """The data, as the manifests of the steps that read it say."""
    asked = links["train"].manifest.parameters
    return Data(
        dataset=dataset,
        label=Label.model_validate(asked["label"]),
        features={name: Feature.model_validate(f) for name, f in asked["features"].items()},
        periods={s: _period(snapshot.split(s)) for s in Split if snapshot.split(s)},
        warnings=tuple(
            str(warning)
            for name in ("statistics", "expectations")
            if name in links
            for warning in links[name].manifest.facts.get("warnings", ())
        ),
    )


def _period(files: Sequence[PinnedFile]) -> Period:
    days = [file.date for file in files]
    return Period(
        first=min(days),
        last=max(days),
        files=len(files),
        rows=sum(file.rows for file in files),
        bytes=sum(file.size for file in files),
    )


def training_of(train: Link) -> Training:
    """How the model was fitted, as its manifest says."""
    manifest = train.manifest
    return Training(
        parameters=manifest.parameters["training"],
        tuned=manifest.facts.get("tuned") or {},
        metrics=manifest.metrics,
    )


def made(link: Link) -> Made:
    """One line of the chain."""
    manifest = link.manifest
    return Made(
        name=link.name,
        ref=link.ref,
        by=manifest.by,
        at=manifest.created,
        code_version=manifest.code_version,
        code=manifest.code,
    )
