"""A gRPC request reaches the model of the pipeline that it was sent to, and no other.

Envoy chooses the route by a header or the authority; the model server chooses the model by the
request's own ``model_spec``. Unless the two are held together, a client of one pipeline could ask
every model of the server. So Envoy reads the name from the request, and each route refuses what
asks for another. Of methods that are not in :data:`METHODS` it reads no name, so that they are
refused as well: ``HandleReloadConfigRequest`` would change what the server serves.

All these requests have their ``model_spec`` in field 1, and the name in its field 1
(tensorflow_serving/apis/*.proto), so that one message stands for all of them.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pb2 import FileDescriptorSet as DescriptorSet

from nightshift.release.expression import where

METHODS = {
    "PredictionService": ("Predict", "Classify", "Regress", "GetModelMetadata"),
    "ModelService": ("GetModelStatus",),
}
"""What clients may call, by service."""
_PACKAGE = "tensorflow.serving"
NAME = "model_spec.name"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"
READ = "envoy.filters.http.grpc_field_extraction"
"""The name under which the filter leaves what it read."""
_HELD = "nightshift.asked_model"


def filters() -> list[dict[str, Any]]:
    """HTTP filters that read the name, and hold it against the route's; before the router."""
    extractions: dict[str, Any] = {
        f"{_PACKAGE}.{service}.{name}": {"request_field_extractions": {NAME: {}}}
        for service, names in METHODS.items()
        for name in names
    }
    reading = {
        "@type": f"{_FILTERS}.grpc_field_extraction.v3.GrpcFieldExtractionConfig",
        "descriptor_set": {"inline_bytes": base64.b64encode(_descriptors()).decode()},
        "extractions_by_method": extractions,
    }
    # By itself it refuses nothing: each route says what it takes.
    holding = {"@type": f"{_FILTERS}.rbac.v3.RBAC"}
    return [
        {"name": READ, "typed_config": reading},
        {"name": _HELD, "typed_config": holding},
    ]


def only(model: str) -> dict[str, Any]:
    """What to add to a gRPC route that takes requests for one model."""
    named = {
        "filter": READ,
        "path": [{"key": NAME}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": model}}}},
    }
    policy = {
        "permissions": [{"sourced_metadata": {"metadata_matcher": named}}],
        "principals": [{"any": True}],
    }
    rules = {"action": "ALLOW", "policies": {"asks its own model": policy}}
    held = {"@type": f"{_FILTERS}.rbac.v3.RBACPerRoute", "rbac": {"rules": rules}}
    return {"typed_per_filter_config": {_HELD: held}}


def words() -> dict[str, Any]:
    """What is said to whoever asks for another model, as a mapper of Envoy's own answers."""
    # Only by us, and only after the name was read: all others are told something else.
    read = {"filter": READ, "path": [{"key": NAME}], "value": {"present_match": True}}
    filters = [
        where("response.code_details.startsWith('rbac_access_denied')"),
        {"metadata_filter": {"matcher": read, "match_if_key_not_found": False}},
    ]
    text = (
        f"the request names the model %DYNAMIC_METADATA({READ}:{NAME})% and was sent to "
        f"%ROUTE_NAME%: set {NAME} to %ROUTE_NAME%, or send it to the other one"
    )
    return {
        "filter": {"and_filter": {"filters": filters}},
        "body_format_override": {"text_format_source": {"inline_string": text}},
    }


def _descriptors() -> bytes:
    """The little of TensorFlow Serving's API that it takes to find the name."""
    file = FileDescriptorProto(name="asked_model.proto", package=_PACKAGE, syntax="proto3")
    text, message = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
    once = FieldDescriptorProto.LABEL_OPTIONAL
    spec = file.message_type.add(name="ModelSpec")
    spec.field.add(name="name", number=1, type=text, label=once)
    asked, told = (f".{_PACKAGE}.{name}" for name in ("Request", "Response"))
    request = file.message_type.add(name="Request")
    request.field.add(
        name="model_spec", number=1, type=message, label=once, type_name=f".{_PACKAGE}.ModelSpec"
    )
    file.message_type.add(name="Response")
    for service, names in METHODS.items():
        described = file.service.add(name=service)
        for name in names:
            described.method.add(name=name, input_type=asked, output_type=told)
    return DescriptorSet(file=[file]).SerializeToString()
