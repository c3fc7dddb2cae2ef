"""The chain of one version: every artifact below it, found by references alone.

A manifest names the artifacts that went in, with their digests, so that following them needs no
listing and believes nothing that somebody changed. What the chain says years later is what was
committed that night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from nightshift.artifacts.manifest import ArtifactRef, Manifest
from nightshift.artifacts.store import ArtifactStore
from nightshift.data.pinned import SNAPSHOT_FILE, Snapshot
from nightshift.errors import DigestMismatchError
from nightshift.lineage.deeds import Deed, deeds_of
from nightshift.release.candidate import Candidate
from nightshift.release.log import ReleaseLog

TRAIN, SNAPSHOT = "train", "snapshot"


class Link(BaseModel):
    """One artifact of a chain."""

    model_config = ConfigDict(frozen=True)

    name: str
    """The step that made it; of a mapped step with its instance, as ``quantize.int8``."""
    ref: ArtifactRef
    manifest: Manifest

    @property
    def step(self) -> str:
        """The step's name without the instance."""
        return self.name.partition(".")[0]


class Chain(BaseModel):
    """Everything that led to one version, and what became of it."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    version: int
    candidate: Candidate
    data: Snapshot
    """The exact files of the lake."""
    artifacts: tuple[Link, ...]
    """What an artifact was made of comes before it."""
    deeds: tuple[Deed, ...]
    """Who did what, oldest first; the release log's events among them."""
    card: ArtifactRef | None = None
    """The model card; None where none was made."""

    def link(self, name: str) -> Link | None:
        """The artifact that a step made."""
        return next((link for link in self.artifacts if link.name == name), None)


def chain_of(
    store: ArtifactStore, pipeline: str, candidate: Candidate, card: ArtifactRef | None = None
) -> Chain:
    """Follow a registered version back to the lake.

    Raises:
        DigestMismatchError: Artifacts of the chain are gone or were changed; all are named.
    """
    artifacts = follow(store, _roots(candidate), f"{pipeline}@{candidate.version}")
    snapshot = next(link for link in artifacts if link.name == SNAPSHOT)
    data = Snapshot.model_validate_json(
        store.read(store.open(snapshot.ref), SNAPSHOT_FILE),
    )
    made = {link.name: link.manifest for link in artifacts}
    events = ReleaseLog(store.bucket, pipeline).history()
    return Chain(
        pipeline=pipeline,
        version=candidate.version,
        candidate=candidate,
        data=data,
        artifacts=artifacts,
        deeds=deeds_of(candidate, made, events),
        card=card,
    )


def follow(store: ArtifactStore, roots: Mapping[str, ArtifactRef], whose: str) -> tuple[Link, ...]:
    """All artifacts below some references, each once, inputs first.

    Raises:
        DigestMismatchError: Some are gone or were changed; all of them are named, each with what
            refers to it.
    """
    found: dict[str, Link] = {}
    broken: dict[str, str] = {}

    def visit(name: str, ref: ArtifactRef, named_by: str) -> None:
        if ref.uri in found or ref.uri in broken:
            return
        try:
            manifest = store.open(ref).manifest
        except DigestMismatchError as error:
            broken[ref.uri] = f"'{name}', named by {named_by}: {error.message}"
            return
        for below, further in manifest.inputs.items():
            visit(below, further, f"'{name}'")
        found[ref.uri] = Link(name=name, ref=ref, manifest=manifest)

    for name, ref in roots.items():
        visit(name, ref, "its registration")
    if broken:
        lines = "\n".join(f"  {line}" for line in broken.values())
        raise DigestMismatchError(
            f"{whose}: the chain is broken in {len(broken)} place(s):\n{lines}",
            gone=sorted(broken),
        )
    return tuple(found.values())


def _roots(candidate: Candidate) -> dict[str, ArtifactRef]:
    return dict(_named(candidate))


def _named(candidate: Candidate) -> Iterator[tuple[str, ArtifactRef]]:
    yield from candidate.lineage.items()
    yield TRAIN, candidate.model
    if candidate.served:
        yield "served", candidate.served
