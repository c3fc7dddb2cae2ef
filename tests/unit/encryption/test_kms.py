"""Keys of AWS KMS, against a stand-in that answers its protocol; the real one was never asked."""

from __future__ import annotations

import base64
import http.server
import io
import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nightshift.encryption.envelope import CHUNK_BYTES, TamperedError, decrypt, encrypting
from nightshift.encryption.keys import KmsKey
from nightshift.errors import UnavailableError

ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONTEXT = {"pipeline": "flights", "kind": "model", "artifact": "a1", "file": "golden.json"}
BODY = b"weights and weights"


class Kms:
    """Gives data keys, and opens those that it gave, in the context that they were given for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = False
        self._given: dict[str, tuple[str, Any]] = {}
        kms = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                found = kms.answer(self.headers["x-amz-target"].split(".")[1], body)
                self.send_response(200 if "KeyId" in found else 400)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, verb: str, body: dict[str, Any]) -> dict[str, str]:
        self.asked.append(verb)
        if self.closed:
            return {"__type": "AccessDeniedException"}
        if verb == "GenerateDataKey":
            key = base64.b64encode(secrets.token_bytes(body["NumberOfBytes"])).decode()
            blob = base64.b64encode(secrets.token_bytes(100)).decode()
            self._given[blob] = (key, body["EncryptionContext"])
            return {"KeyId": ARN, "Plaintext": key, "CiphertextBlob": blob}
        key, context = self._given.get(body["CiphertextBlob"], ("", None))
        if context != body["EncryptionContext"]:
            return {"__type": "InvalidCiphertextException"}
        return {"KeyId": ARN, "Plaintext": key}


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kms]:
    made = Kms()
    port = made.server.server_address[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    yield made
    made.server.shutdown()
    made.server.server_close()


def sealed() -> bytes:
    stream = encrypting(io.BytesIO(BODY), KmsKey(ARN), CONTEXT)
    return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))


def opened(body: bytes, **context: str) -> bytes:
    target = io.BytesIO()
    decrypt(io.BytesIO(body), target, KmsKey(ARN), {**CONTEXT, **context})
    return target.getvalue()


def test_each_file_has_a_data_key_that_kms_gave_and_opens(kms: Kms) -> None:
    body = sealed()
    assert BODY not in body and opened(body) == BODY
    assert kms.asked == ["GenerateDataKey", "Decrypt"]


def test_another_place_is_refused(kms: Kms) -> None:
    with pytest.raises(TamperedError, match="artifact 'a1' instead of 'b2'"):
        opened(sealed(), artifact="b2")


def test_a_changed_byte_is_refused(kms: Kms) -> None:
    body = bytearray(sealed())
    body[-1] ^= 1
    with pytest.raises(TamperedError):
        opened(bytes(body))


def test_who_may_not_use_the_key_is_told_which(kms: Kms) -> None:
    """No tampering: another day, or another role, may be let in."""
    body = sealed()
    kms.closed = True
    with pytest.raises(UnavailableError, match=ARN):
        opened(body)
    with pytest.raises(UnavailableError, match=ARN):
        sealed()
