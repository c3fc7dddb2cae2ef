"""TLS, keys, certificates and limits at the real Envoy, with the files that the project writes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509

from nightshift.release.access import ListenerAccess
from nightshift.release.files import write_atomically
from nightshift.release.routes import ROUTES_FILE, render_routes
from nightshift.stack.certificates import Authority, place
from tests.integration.locked.doors import (
    CLIENTS,
    KEYS,
    LARGEST,
    RELOAD,
    Doors,
    asking,
    open_doors,
)
from tests.integration.servers import wait_until

UNKNOWN = "unknown client: show a key in the header x-api-key, or a client certificate"
WRONG = "a-key-that-nobody-has-01234"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with open_doors(tmp_path_factory.mktemp("doors")) as doors:
        yield doors


def refused(doors: Doors, *arguments: object, **options: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        doors.call(*arguments, **options)  # type: ignore[arg-type]
    return caught.value.code(), caught.value.details()


def logged(doors: Doors, says: str) -> bool:
    """Whether Envoy's log gives this reason for a refusal."""
    return any(says in str(refusal["refused"]) for refusal in doors.refusals())


def test_a_client_with_its_key_is_let_in_and_the_key_goes_no_further(doors: Doors) -> None:
    answer = doors.ask(KEYS["shop"])
    assert answer.status_code == 200
    assert "x-api-key" not in answer.json()["headers"]
    assert "x-api-key" not in doors.call(KEYS["shop"])


def test_a_load_balancer_needs_no_key_to_ask_whether_to_send(doors: Doors) -> None:
    trust = ssl.create_default_context(cafile=str(doors.authority.certificate))
    for turn, status in (("fail", 503), ("ok", 200)):
        httpx.post(f"http://{doors.layout.admin}/healthcheck/{turn}")
        for door in (doors.layout.rest, doors.layout.grpc):
            answer = httpx.get(f"https://{door}/ready", verify=trust)
            assert (answer.status_code, answer.content) == (status, b"")
        assert doors.ask(KEYS["shop"]).status_code == 200, "it serves what still comes"


def test_nobody_gives_himself_a_name(doors: Doors) -> None:
    answer = doors.ask(KEYS["shop"], headers={"x-nightshift-client": "harbour"})
    assert "x-nightshift-client" not in answer.json()["headers"]
    assert doors.ask(None, headers={"x-nightshift-client": "shop"}).status_code == 401


@pytest.mark.parametrize("key", [None, WRONG, "", KEYS["shop"][:-1], KEYS["shop"] + "0"])
def test_without_a_known_key_nothing_is_told(doors: Doors, key: str | None) -> None:
    for pipeline in ("flights", "none"):
        answer = doors.ask(key, pipeline)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"error": UNKNOWN}
        assert refused(doors, key, pipeline) == (grpc.StatusCode.UNAUTHENTICATED, UNKNOWN)


def test_another_pipelines_client_is_told_so(doors: Doors) -> None:
    answer = doors.ask(KEYS["harbour"], "flights")
    assert answer.status_code == 403
    assert answer.json() == {"error": "client harbour may not ask flights"}
    assert refused(doors, KEYS["harbour"]) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "client harbour may not ask flights",
    )


@pytest.mark.parametrize("body", [asking("boats"), asking("flights2"), asking(""), b""])
def test_a_request_asks_the_model_of_its_own_pipeline_alone(doors: Doors, body: bytes) -> None:
    code, _ = refused(doors, KEYS["shop"], "flights", body=body)
    assert code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT)


def test_a_request_for_another_model_is_told_both_names(doors: Doors) -> None:
    assert refused(doors, KEYS["shop"], "flights", body=asking("boats")) == (
        grpc.StatusCode.PERMISSION_DENIED,
        'the request names the model ["boats"] and was sent to flights: set model_spec.name to '
        "flights, or send it to the other one",
    )


def test_nobody_may_change_what_the_servers_serve(doors: Doors) -> None:
    code, _ = refused(doors, KEYS["shop"], method=RELOAD)
    assert code is grpc.StatusCode.PERMISSION_DENIED


def test_a_known_client_learns_that_there_is_no_such_pipeline(doors: Doors) -> None:
    assert doors.ask(KEYS["shop"], "trains").status_code == 404
    assert refused(doors, KEYS["shop"], "trains")[0] is grpc.StatusCode.NOT_FOUND


def test_a_certificate_names_its_client(doors: Doors, tmp_path: Path) -> None:
    legacy = doors.authority.issue(["legacy"], client=True)
    seen = doors.call(None, "boats", shown=legacy, header=False)
    assert seen["x-nightshift-client"] == "legacy"
    assert refused(doors, None, "flights", shown=legacy) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "client legacy may not ask flights",
    )
    with doors.client(legacy, tmp_path) as client:
        assert client.post("/v1/models/boats:predict").status_code == 200
        assert client.post("/v1/models/flights:predict").status_code == 403
        key = {"x-api-key": KEYS["shop"]}
        assert client.post("/v1/models/flights:predict", headers=key).status_code == 200


def test_a_certificate_of_nobody_known_is_refused(doors: Doors) -> None:
    stranger = doors.authority.issue(["stranger"], client=True)
    assert refused(doors, None, "boats", shown=stranger)[0] is grpc.StatusCode.PERMISSION_DENIED


def test_an_expired_or_foreign_certificate_ends_the_handshake_and_is_logged(
    doors: Doors, tmp_path: Path
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    expired = doors.authority.issue(["legacy"], client=True, days=1, not_before=long_ago)
    foreign = Authority(tmp_path / "other").issue(["legacy"], client=True)
    for name, shown, says in (
        ("expired", expired, "certificate_has_expired"),
        ("foreign", foreign, "unable_to_get_local_issuer_certificate"),
    ):
        with doors.client(shown, tmp_path / name) as client, pytest.raises(httpx.TransportError):
            client.post("/v1/models/boats:predict")
        assert refused(doors, None, "boats", shown=shown)[0] is grpc.StatusCode.UNAVAILABLE
        wait_until(partial(logged, doors, says), seconds=15, what=f"Envoy logs {says}")


def test_plain_text_is_not_spoken(doors: Doors) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{doors.layout.rest}/v1/models/flights")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_both_protocols_are_offered_and_old_tls_is_not(doors: Doors) -> None:
    for protocol in ("h2", "http/1.1"):
        trust = ssl.create_default_context(cafile=str(doors.authority.certificate))
        trust.set_alpn_protocols([protocol])
        assert handshake(doors, trust).selected_alpn_protocol() == protocol
    old = ssl.create_default_context(cafile=str(doors.authority.certificate))
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(doors, old)


def test_a_request_too_large_is_refused_before_it_reaches_a_server(doors: Doors) -> None:
    assert doors.ask(KEYS["shop"], content=b"x" * (LARGEST - 1)).json()["bytes"] == LARGEST - 1
    answer = doors.ask(KEYS["shop"], content=b"x" * (LARGEST + 1))
    assert answer.status_code == 413
    assert answer.json() == {"error": f"the request is larger than {LARGEST} bytes"}
    code, details = refused(doors, KEYS["shop"], body=b"x" * (LARGEST + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details == f"the request is larger than {LARGEST} bytes"


def test_a_clients_rate_holds_over_pipelines_and_protocols_and_for_it_alone(doors: Doors) -> None:
    doors.admit(CLIENTS)  # full buckets
    with doors.client() as client:
        headers = {"x-api-key": KEYS["slow"]}
        paths = [f"/v1/models/{p}:predict" for p in ("flights", "boats") * 6]
        statuses = [client.post(path, headers=headers).status_code for path in paths]
        shop = {"x-api-key": KEYS["shop"]}
        others = [client.post(paths[0], headers=shop).status_code for _ in range(12)]
    assert 3 <= statuses.count(200) <= 6
    assert set(statuses) == {200, 429}
    assert set(others) == {200}
    with pytest.raises(grpc.RpcError) as caught:
        for _ in range(12):
            doors.call(KEYS["slow"])
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_keys_change_without_a_restart_and_without_a_failed_request(doors: Doors) -> None:
    new = "the-new-key-of-the-shop-0123456"
    statuses: list[int] = []
    stop = threading.Event()
    used = {"x-api-key": KEYS["shop"]}

    def traffic() -> None:
        with doors.client() as client:
            while not stop.is_set():
                answer = client.post("/v1/models/flights:predict", headers=dict(used))
                statuses.append(answer.status_code)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        both = [{**CLIENTS[0], "keys": [KEYS["shop"], new]}, *CLIENTS[1:]]
        doors.admit(both)
        used["x-api-key"] = new
        wait_until(lambda: len(statuses) > 50, seconds=20, what="traffic")
        doors.admit([{**CLIENTS[0], "keys": [new]}, *CLIENTS[1:]])
        wait_until(
            lambda: doors.ask(KEYS["shop"]).status_code == 401, seconds=5, what="the old key ends"
        )
    finally:
        stop.set()
        thread.join()
        doors.admit(CLIENTS)
    assert set(statuses) == {200}


def test_certificates_change_without_a_restart(doors: Doors) -> None:
    folder = doors.layout.access.certificates
    assert folder is not None
    trust = ssl.create_default_context(cafile=str(doors.authority.certificate))
    before = serial(doors, trust)
    with doors.client() as open_before:
        headers = {"x-api-key": KEYS["shop"]}
        assert open_before.post("/v1/models/flights:predict", headers=headers).status_code == 200
        place(folder, doors.authority.issue(["localhost", "127.0.0.1"]))
        wait_until(lambda: serial(doors, trust) != before, seconds=10, what="a new certificate")
        assert open_before.post("/v1/models/flights:predict", headers=headers).status_code == 200
    assert doors.envoy.running


def test_the_client_ca_changes_without_a_restart(doors: Doors, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    shown = other.issue(["legacy"], client=True)
    folder = doors.layout.access.certificates
    assert folder is not None
    ours = doors.authority.certificate.read_text()
    try:
        write_atomically(folder / "client-ca.crt", ours + other.certificate.read_text())
        wait_until(lambda: lets_in(doors, shown), seconds=10, what="the second authority counts")
        assert lets_in(doors, doors.authority.issue(["legacy"], client=True))
    finally:
        write_atomically(folder / "client-ca.crt", ours)


def test_each_refusal_is_logged_with_who_and_what_and_never_a_key(doors: Doors) -> None:
    doors.ask(WRONG)
    doors.ask(KEYS["harbour"], "flights")

    def logged(status: int, client: str | None) -> bool:
        return any(
            r.get("status") == status and r["client"] == client and r["pipeline"] == "flights"
            for r in doors.refusals()
        )

    wait_until(lambda: logged(401, ""), seconds=15, what="the unknown client is logged")
    wait_until(lambda: logged(403, "harbour"), seconds=15, what="the foreign client is logged")
    assert WRONG not in doors.envoy.output
    assert not any(key in doors.envoy.output for key in KEYS.values())


def test_routes_that_nobody_guarded_answer_nobody(doors: Doors) -> None:
    """An agent that was told of no clients behind an Envoy that asks for them."""
    try:
        write_atomically(doors.layout.folder / ROUTES_FILE, render_routes(doors.routes))
        wait_until(
            lambda: doors.ask(KEYS["shop"]).status_code == 403, seconds=5, what="the doors close"
        )
        assert doors.ask(None).status_code == 403
    finally:
        doors.admit(CLIENTS)


def test_by_default_nothing_is_asked() -> None:
    assert ListenerAccess() == ListenerAccess(None, False, False, None)


def handshake(doors: Doors, trust: ssl.SSLContext) -> ssl.SSLSocket:
    address = (doors.layout.rest.host, doors.layout.rest.port)
    with socket.create_connection(address, timeout=5) as plain:
        return trust.wrap_socket(plain, server_hostname="localhost")


def serial(doors: Doors, trust: ssl.SSLContext) -> int:
    shown = handshake(doors, trust).getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def lets_in(doors: Doors, shown: object) -> bool:
    try:
        doors.call(None, "boats", shown=shown)  # type: ignore[arg-type]
    except grpc.RpcError:
        return False
    return True
