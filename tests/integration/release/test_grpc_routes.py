"""gRPC through Envoy: who a request is for, and what it is told when it does not say."""

from __future__ import annotations

import grpc
import pytest

from tests.integration.release.rig import Rig
from tests.integration.servers import wait_until

GET_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


def model_status_request(name: str) -> bytes:
    """``GetModelStatusRequest{model_spec {name}}``, by hand: TensorFlow stays out of here."""
    spec = b"\x0a" + bytes([len(name)]) + name.encode()
    return b"\x0a" + bytes([len(spec)]) + spec


class Client:
    """Calls through Envoy's gRPC port."""

    def __init__(self, rig: Rig) -> None:
        self.target = str(rig.machine.layout.grpc)

    def status(
        self, name: str = "flights", *, authority: str = "", header: str = ""
    ) -> dict[str, str]:
        """Ask for a model's status; returns the answer's initial metadata."""
        options = [("grpc.default_authority", authority)] if authority else []
        metadata = [("x-nightshift-pipeline", header)] if header else []
        with grpc.insecure_channel(self.target, options=options) as channel:
            call = channel.unary_unary(GET_STATUS)
            answer, details = call.with_call(
                model_status_request(name), metadata=metadata, timeout=20
            )
            assert answer
            return dict(details.initial_metadata())

    def is_refused(self) -> bool:
        """Whether an unnamed call fails."""
        try:
            self.status()
        except grpc.RpcError:
            return True
        return False

    def refusal(self, **options: str) -> tuple[grpc.StatusCode, str]:
        """The same where an error is expected."""
        with pytest.raises(grpc.RpcError) as caught:
            self.status(**options)
        return caught.value.code(), caught.value.details()


def test_the_only_pipeline_needs_no_name(rig: Rig) -> None:
    client = Client(rig)
    # Until this host's agent has run, Envoy has the routes of the host before.
    wait_until(client.is_refused, seconds=20, what="nothing is released here")
    assert client.refusal()[0] is grpc.StatusCode.UNAVAILABLE
    assert rig.release(1).succeeded
    answered = client.status()
    assert answered["x-nightshift-colour"] == "blue"
    assert answered["x-nightshift-version"] == "1"


def test_of_several_pipelines_one_must_be_named(rig: Rig) -> None:
    assert rig.release(1).succeeded
    assert rig.release(1, pipeline="boats").succeeded
    assert rig.release(2, pipeline="boats").succeeded
    client = Client(rig)
    assert client.status(header="flights")["x-nightshift-colour"] == "blue"
    assert client.status("boats", header="boats")["x-nightshift-colour"] == "green"
    for authority in ("boats", "boats:8500", "boats.serving.example"):
        answered = client.status("boats", authority=authority)
        assert answered["x-nightshift-version"] == "2"
    code, details = client.refusal()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "x-nightshift-pipeline" in details and "boats, flights" in details
    code, details = client.refusal(header="trains")
    assert code is grpc.StatusCode.NOT_FOUND
    assert "no pipeline has the name" in details and "boats, flights" in details
    assert client.refusal(authority="boatsandmore")[0] is grpc.StatusCode.INVALID_ARGUMENT
