"""Whoever has no business here, on one host with a live version: refused, named, logged.

The artifacts (tampered byte, swapped, unsigned, wrong key) are in ``test_signatures``, the roles of
S3 in ``test_s3_roles``. What is served is asked before and after each case, and does not change.
"""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import RefusedError
from nightshift.gates.rules import Ruling, judge_operators
from nightshift.operators.allowed import SAVED_MODEL_FILE, forbidden_operators
from nightshift.release import requests
from nightshift.runtimes import Runtime, python_of
from tests.integration.judged import gate_on
from tests.integration.locked.doors import CLIENTS, KEYS, LARGEST
from tests.integration.locked.host import LIVE, LockedHost
from tests.integration.release.rig import INPUTS, PIPELINE
from tests.integration.servers import wait_until

PREDICT = f"/v1/models/{PIPELINE}:predict"
BODY = {"inputs": {"x": INPUTS}}


@pytest.fixture(autouse=True)
def unchanged(host: LockedHost) -> Iterator[None]:
    """What is served, before and after."""
    assert host.served() == LIVE
    yield
    assert host.served() == LIVE
    assert host.record.champion is not None and host.record.champion.version == 1


def logged(host: LockedHost, *words: str) -> bool:
    """Whether one line of Envoy's log has all the words."""
    lines = host.rig.machine.envoy.output.splitlines()
    return any(all(word in line for word in words) for line in lines)


@pytest.mark.parametrize(
    ("key", "status", "says", "words"),
    [
        (None, 401, "unknown client", ('"status":401',)),
        ("a-key-that-nobody-has-0123", 401, "unknown client", ('"status":401',)),
        (
            KEYS["harbour"],
            403,
            "client harbour may not ask flights",
            ('"status":403', '"client":"harbour"', '"pipeline":"flights"'),
        ),
    ],
    ids=["missing key", "wrong key", "foreign pipeline's key"],
)
def test_a_key(
    host: LockedHost, key: str | None, status: int, says: str, words: tuple[str, ...]
) -> None:
    with host.client(key) as client:
        answer = client.post(PREDICT, json=BODY)
    assert answer.status_code == status
    assert says in answer.json()["error"]
    wait_until(lambda: logged(host, *words), seconds=15, what=f"Envoy logs {words}")
    assert key is None or key not in host.rig.machine.envoy.output


def test_an_oversized_request(host: LockedHost) -> None:
    with host.client() as client:
        answer = client.post(PREDICT, content=b"x" * (LARGEST + 1))
    assert answer.status_code == 413
    assert answer.json() == {"error": f"the request is larger than {LARGEST} bytes"}
    words = ('"refused":"request_payload_too_large"', '"client":"shop"')
    wait_until(lambda: logged(host, *words), seconds=15, what="Envoy logs it")


def test_an_expired_certificate_of_a_client(host: LockedHost, tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    shown = host.authority.issue(["legacy"], client=True, days=1, not_before=long_ago)
    (tmp_path / "crt").write_text(shown.certificate)
    (tmp_path / "key").write_text(shown.key)
    trust = ssl.create_default_context(cafile=str(host.authority.certificate))
    trust.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    url = f"https://{host.rig.machine.layout.rest}"
    with httpx.Client(verify=trust, base_url=url) as client, pytest.raises(httpx.TransportError):
        client.post(PREDICT, json=BODY)
    words = ("certificate_has_expired", "CN=legacy")
    wait_until(lambda: logged(host, *words), seconds=15, what="Envoy logs it")


def test_keys_that_the_agent_reads_anew(host: LockedHost) -> None:
    """The clients file is changed under the running agent: a key ends, and nobody waits for it."""
    others = [client for client in CLIENTS if client["name"] != "harbour"]
    host.admit(others)
    refused = lambda: ask(host, KEYS["harbour"]) == 401  # noqa: E731
    wait_until(refused, seconds=15, what="the key of the client that was removed ends")
    assert "clients: shop, slow, legacy" in host.rig.agent.output
    host.admit(CLIENTS)
    known = lambda: ask(host, KEYS["harbour"]) == 403  # noqa: E731
    wait_until(known, seconds=15, what="the client is known again")


def test_a_model_with_a_forbidden_operator(host: LockedHost, tmp_path: Path) -> None:
    """The gate names the operator; what its gate failed nobody can ask to release."""
    bad = tmp_path / "9"
    command = [str(python_of(Runtime.ML)), "-c", READS_A_FILE, str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (host.rig.saved_models / "9").symlink_to(bad)
    candidate = host.rig.publish(9)
    store = ArtifactStore(host.rig.bucket)
    model = store.read(store.open(candidate.model), SAVED_MODEL_FILE)
    (judgement,) = judge_operators(forbidden_operators(model))
    assert judgement.ruling is Ruling.FAILED and "ReadFile" in str(judgement)
    failed = gate_on(host.rig.bucket, PIPELINE, candidate.model, "failed", night=candidate.night)
    with pytest.raises(RefusedError, match="failed"):
        requests.ask(
            host.rig.bucket,
            PIPELINE,
            candidate.model_copy(update={"lineage": {"gate": failed}}),
            by="test",
            reason="none",
        )


def ask(host: LockedHost, key: str, **options: Any) -> int:
    with host.client(key) as client:
        return client.post(PREDICT, json=BODY, **options).status_code


READS_A_FILE = """
import sys
import tensorflow as tf

@tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
def serve(x):
    found = tf.strings.length(tf.io.read_file("/etc/hostname"))
    return {"probability": x + tf.cast(found, tf.float32)}

tf.saved_model.save(tf.Module(), sys.argv[1], signatures={"serving_default": serve})
"""
