"""One registered version per model artifact, pinned in S3 like the run.

``<pipeline>/versions/by-model/<key>.json`` is written once and says which number the artifact
got; ``<pipeline>/versions/<number>.json`` is the same candidate by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightshift.artifacts.manifest import ArtifactRef
from nightshift.errors import RefusedError
from nightshift.release.candidate import Candidate
from nightshift.storage.s3 import AbsentError, Bucket
from nightshift.tracking.runs import RunTracker, mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "nightshift.model.key"


@dataclass(frozen=True)
class Registry:
    """The registered versions of one pipeline's model."""

    bucket: Bucket
    pipeline: str

    def find(self, released_key: str) -> Candidate | None:
        """The candidate that a released artifact (a model, or its variant) was registered as."""
        return self._read(self._by_model(released_key))

    def version(self, number: int) -> Candidate:
        """The candidate of a version number.

        Raises:
            RefusedError: No such version was registered.
        """
        found = self._read(self._by_number(number))
        if found is None:
            raise RefusedError(f"{self.pipeline}: version {number} was never registered.")
        return found

    def card(self, number: int) -> ArtifactRef | None:
        """The version's model card; None where none was made yet."""
        try:
            return ArtifactRef.model_validate_json(self.bucket.get(self._card(number)).body)
        except AbsentError:
            return None

    def register(self, draft: Candidate, tracker: RunTracker) -> Candidate:
        """Register a model artifact, once.

        Args:
            draft: The candidate; its version number is ignored, the registry gives it.
            tracker: For MLflow, and for the run that the version belongs to.

        Returns:
            The pinned candidate, which may be an earlier one for the same artifact.
        """
        pinned = self.find(draft.released.key)
        if pinned is None:
            with mlflow_errors(tracker.server):
                pinned = self._pin_new(draft, tracker.client())
        self.bucket.put(
            self._by_number(pinned.version),
            pinned.model_dump_json(indent=1).encode(),
            content_type="application/json",
        )
        return pinned

    def add_edge_bundle(
        self, version: int, target: str, bundle: ArtifactRef, tracker: RunTracker
    ) -> None:
        """Put a version's edge bundle beside it in MLflow, once; again asks MLflow nothing."""
        mark = f"{self.pipeline}/versions/{version}-edge-{bundle.key}"
        if self.bucket.exists(mark):
            return
        tags = {
            "nightshift.edge": bundle.uri,
            "nightshift.edge.digest": bundle.digest,
            "nightshift.edge.target": target,
        }
        with mlflow_errors(tracker.server):
            client = tracker.client()
            for name, value in tags.items():
                client.set_model_version_tag(self.pipeline, str(version), name, value)
        self.bucket.put(mark, b"")

    def pin_card(self, number: int, card: ArtifactRef) -> ArtifactRef:
        """Say which artifact is the version's card; returns the one that was said first."""
        self.bucket.create(self._card(number), card.model_dump_json(indent=1).encode())
        pinned = self.card(number)
        assert pinned is not None
        return pinned

    def show_card(
        self, number: int, card: ArtifactRef, files: Mapping[str, str], tracker: RunTracker
    ) -> None:
        """Put a version's card beside it in MLflow, once; again asks MLflow nothing.

        Args:
            number: The version.
            card: The pinned card.
            files: Its files' text by name; they become files of the version's run.
            tracker: For MLflow.
        """
        mark = f"{self.pipeline}/versions/{number}-card-{card.key}"
        if self.bucket.exists(mark):
            return
        run_id = self.version(number).run_id
        tags = {"nightshift.card": card.uri, "nightshift.card.digest": card.digest}
        with mlflow_errors(tracker.server):
            client = tracker.client()
            for name, value in tags.items():
                client.set_model_version_tag(self.pipeline, str(number), name, value)
            for name, text in files.items():
                client.log_text(run_id, text, f"model_card/version_{number}/{name}")
        self.bucket.put(mark, b"")

    def _pin_new(self, draft: Candidate, client: MlflowClient) -> Candidate:
        self._ensure_name(client)
        made = self._versions_of(client, draft.released.key)
        number = made[0] if made else self._create(client, draft)
        mine = draft.model_copy(update={"version": number})
        self.bucket.create(
            self._by_model(draft.released.key), mine.model_dump_json(indent=1).encode()
        )
        pinned = self.find(draft.released.key)
        assert pinned is not None
        for other in self._versions_of(client, draft.released.key):
            if other != pinned.version:
                self._remove(client, other)
        return pinned

    def _remove(self, client: MlflowClient, version: int) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.delete_model_version(self.pipeline, str(version))
        except MlflowException as error:  # another loser of the same race was faster
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def _create(self, client: MlflowClient, draft: Candidate) -> int:
        created = client.create_model_version(
            self.pipeline,
            source=f"{draft.released.uri}",
            run_id=draft.run_id or None,
            await_creation_for=0,
            tags={
                KEY_TAG: draft.released.key,
                "nightshift.night": draft.night.isoformat(),
                "nightshift.model.digest": draft.released.digest,
                "nightshift.serve": "variant" if draft.served else "float",
                "nightshift.train": draft.model.uri,
                **(draft.decision.tags if draft.decision else {}),
                **{f"nightshift.{name}": ref.uri for name, ref in draft.lineage.items()},
            },
            description=f"Trained on the window that ends with {draft.night.isoformat()}."
            + (f" Its gate was {draft.decision}." if draft.decision else ""),
        )
        return int(created.version)

    def _versions_of(self, client: MlflowClient, key: str) -> list[int]:
        found = client.search_model_versions(
            f"name = '{self.pipeline}' and tags.`{KEY_TAG}` = '{key}'"
        )
        return sorted(int(v.version) for v in found)

    def _ensure_name(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(self.pipeline)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _read(self, key: str) -> Candidate | None:
        try:
            return Candidate.model_validate_json(self.bucket.get(key).body)
        except AbsentError:
            return None

    def _by_model(self, key: str) -> str:
        return f"{self.pipeline}/versions/by-model/{key}.json"

    def _by_number(self, number: int) -> str:
        return f"{self.pipeline}/versions/{number}.json"

    def _card(self, number: int) -> str:
        return f"{self.pipeline}/versions/{number}-card.json"
