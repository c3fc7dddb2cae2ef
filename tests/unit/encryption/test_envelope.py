"""Envelopes: what comes out is what went in, as what it went in, or nothing is trusted."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightshift.encryption.envelope import CHUNK_BYTES, TamperedError, decrypt, encrypting
from nightshift.encryption.keys import FileKey, KmsKey, ModelKey
from nightshift.errors import UnavailableError

KEY, OTHER = FileKey(b"k" * 32), FileKey(b"o" * 32)
CONTEXT = {"pipeline": "flights", "kind": "model", "artifact": "a1", "file": "saved_model.pb"}
BODY = b"weights and weights"


def sealed(body: bytes = BODY, key: ModelKey = KEY, context: Mapping[str, str] = CONTEXT) -> bytes:
    stream = encrypting(io.BytesIO(body), key, context)
    return b"".join(iter(lambda: stream.read(CHUNK_BYTES), b""))


def opened(body: bytes, key: ModelKey = KEY, context: Mapping[str, str] = CONTEXT) -> bytes:
    target = io.BytesIO()
    decrypt(io.BytesIO(body), target, key, context)
    return target.getvalue()


@given(body=st.binary(max_size=3000))
@settings(deadline=None)
def test_what_comes_out_is_what_went_in(body: bytes) -> None:
    assert opened(sealed(body)) == body


@pytest.mark.parametrize(
    "size", [0, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_the_edges_of_frames(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(body[:size])) == body[:size]


def test_nothing_of_the_file_can_be_read_and_each_is_encrypted_anew() -> None:
    assert BODY not in sealed() and sealed() != sealed()


def test_another_key_opens_nothing() -> None:
    with pytest.raises(TamperedError):
        opened(sealed(), OTHER)


@pytest.mark.parametrize("name", list(CONTEXT))
def test_a_file_of_another_place_is_refused_with_what_differs(name: str) -> None:
    elsewhere = sealed(context={**CONTEXT, name: "another"})
    with pytest.raises(TamperedError, match=f"{name} 'another' instead of '{CONTEXT[name]}'"):
        opened(elsewhere)


def test_a_file_that_says_more_is_not_ours() -> None:
    with pytest.raises(TamperedError, match="another file"):
        opened(sealed(context={**CONTEXT, "more": "words"}))


_WHOLE = sealed()


@given(bit=st.integers(min_value=0, max_value=len(_WHOLE) * 8 - 1))
@settings(deadline=None, max_examples=300)
def test_any_bit_that_is_changed_is_noticed(bit: int) -> None:
    changed = bytearray(_WHOLE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TamperedError):
        opened(bytes(changed))


@given(length=st.integers(min_value=0, max_value=len(_WHOLE) - 1))
@settings(deadline=None)
def test_a_file_that_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(TamperedError):
        opened(_WHOLE[:length])


def test_plain_bytes_in_the_place_of_encrypted_ones_are_refused() -> None:
    with pytest.raises(TamperedError):
        opened(BODY * 100)


def test_a_full_disk_is_no_tampering() -> None:
    class Full(io.BytesIO):
        def write(self, *_: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        decrypt(io.BytesIO(sealed()), Full(), KEY, CONTEXT)


def test_a_key_server_that_is_away_is_no_tampering(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again; nothing is held against the version."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with pytest.raises(UnavailableError, match=arn):
        sealed(key=KmsKey(arn))
