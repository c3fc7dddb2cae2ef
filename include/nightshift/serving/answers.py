"""Answers about models, as TensorFlow Serving's own messages: status and metadata."""

from __future__ import annotations

from typing import Any, Final

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from nightshift.serving.errors import not_found
from nightshift.serving.lifecycle import StatusBoard
from nightshift.serving.servable import Servable

SIGNATURE_DEF: Final = "signature_def"
"""The only metadata field there is."""


def model_status(board: StatusBoard, name: str, version: int | None) -> Any:
    """A GetModelStatusResponse for one version, or for all versions ever seen.

    A label does not narrow the answer: TensorFlow Serving ignores it here.

    Raises:
        ServingError: NOT_FOUND for a version or a model never seen.
    """
    if version is not None:
        status = board.get(name, version)
        if status is None:
            raise not_found(f"Could not find version {version} of model {name}")
        statuses = [status]
    else:
        statuses = board.versions(name)
    if not statuses:
        raise not_found(f"Could not find any versions of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version, state=int(status.state))
        entry.status.error_code = int(status.code)
        entry.status.error_message = status.message
    return response


def signature_defs(servable: Servable) -> Any:
    """The SignatureDefMap of a loaded version."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.model.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    return signatures


def model_metadata(servable: Servable) -> Any:
    """A GetModelMetadataResponse with the signatures of a loaded version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.metadata[SIGNATURE_DEF].Pack(signature_defs(servable))
    return response
