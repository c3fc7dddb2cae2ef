"""Ask one prediction with a client that others wrote; prints the answer as JSON.

Runs as a process of its own: these clients bring a package ``tensorflow`` that is not TensorFlow.

    python foreign_clients.py CLIENT HOST:PORT MODEL VALUE… < settings as JSON
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np


def ovmsclient(url: str, model: str, inputs: Any, shown: dict[str, str]) -> Any:
    """OpenVINO's client: it shows a certificate, and cannot send headers.

    Its REST half speaks no TLS (version 2023.1). Without a version it asks for version 0, which
    TensorFlow Serving does not have either.
    """
    from ovmsclient import make_grpc_client

    tls = {
        "server_cert_path": shown["authority"],
        "client_cert_path": shown["certificate"],
        "client_key_path": shown["key"],
    }
    client = make_grpc_client(url, tls_config=tls)
    assert client.get_model_status(model, 1)[1]["state"] == "AVAILABLE"
    assert "x" in client.get_model_metadata(model, 1)["inputs"]
    return client.predict({"x": inputs}, model, 1)


def min_tfs_client(url: str, model: str, inputs: Any, shown: dict[str, str]) -> Any:
    """A client that takes gRPC's own credentials: the key goes with them, in every call."""
    from min_tfs_client.requests import TensorServingClient
    from min_tfs_client.tensors import tensor_proto_to_ndarray

    def key(_: Any, tell: Callable[[Any, Any], None]) -> None:
        tell((("x-api-key", shown["api_key"]), ("x-nightshift-pipeline", model)), None)

    trust = grpc.ssl_channel_credentials(Path(shown["authority"]).read_bytes())
    both = grpc.composite_channel_credentials(trust, grpc.metadata_call_credentials(key))
    host, port = url.split(":")
    client = TensorServingClient(host, int(port), credentials=both)
    answer = client.predict_request(model, {"x": inputs})
    return tensor_proto_to_ndarray(answer.outputs["probability"])


CLIENTS: dict[str, Callable[..., Any]] = {
    "ovmsclient": ovmsclient,
    "min-tfs-client": min_tfs_client,
}


if __name__ == "__main__":
    name, url, model, *values = sys.argv[1:]
    found = CLIENTS[name](url, model, np.array(values, np.float32), json.load(sys.stdin))
    print(json.dumps(np.asarray(found).ravel().tolist()))
