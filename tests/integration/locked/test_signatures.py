"""Only what was signed as this very version is loaded; all else is refused, named, logged."""

from __future__ import annotations

import base64
import json
from datetime import date
from pathlib import Path

from nightshift.signing.keys import ensure_key_pair
from tests.integration.judged import with_passed_gate
from tests.integration.locked.host import LIVE, LockedHost, refused


def test_a_signed_version_is_served(host: LockedHost) -> None:
    assert host.served() == LIVE


def test_an_unsigned_version(host: LockedHost) -> None:
    refused(host, host.register(2, sign=False), "it is not signed")


def test_a_signature_of_a_key_that_nobody_trusts(host: LockedHost, tmp_path: Path) -> None:
    ensure_key_pair(tmp_path / "other.key", tmp_path / "elsewhere")
    candidate = host.register(3, sign=False)
    host.sign(3, tmp_path / "other.key")
    refused(host, candidate, "signed with a key that this host does not trust")


def test_a_byte_changed_in_the_store(host: LockedHost) -> None:
    candidate = host.register(4)
    key = host.file_of(candidate.model, "saved_model/saved_model.pb")
    body = bytearray(host.rig.bucket.get(key).body)
    body[len(body) // 2] ^= 1
    host.rig.bucket.put(key, bytes(body))
    refused(host, candidate, "the file is damaged or was changed")


def test_another_model_under_a_manifest_of_its_own(host: LockedHost) -> None:
    """Who can write manifests and the log fits all digests; the signature is what remains."""
    host.register(5)
    forged = host.rig.publish(5, golden_offset=1e-6)
    refused(host, forged, "its files are not those that were signed as flights version 5")


def test_another_versions_model_with_its_right_signature(host: LockedHost) -> None:
    first = host.record.champion
    assert first is not None
    fresh = first.model_copy(update={"version": 6, "night": date(2026, 2, 1)})
    swapped = with_passed_gate(host.rig.bucket, "flights", fresh)
    host.put_signature(6, host.signature(1))
    refused(host, swapped, "it was swapped for another version's")


def test_a_signature_that_was_changed(host: LockedHost) -> None:
    candidate = host.register(1, pipeline="flights", golden_offset=2e-6).model_copy(
        update={"version": 7}
    )
    host.note(candidate)
    host.sign(7)
    bundle = json.loads(host.signature(7))
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "00" * 32
    changed = base64.b64encode(json.dumps(payload).encode()).decode()
    bundle["dsseEnvelope"]["payload"] = changed
    host.put_signature(7, json.dumps(bundle).encode())
    refused(host, candidate, "it was changed")


def test_keys_change_without_downtime(host: LockedHost, tmp_path: Path) -> None:
    """The new public key first, then the private one; what is live needs no new signature."""
    ensure_key_pair(tmp_path / "new.key", host.folder / "trusted", "new")
    candidate = host.register(2, sign=False, golden_offset=3e-6).model_copy(update={"version": 8})
    host.note(candidate)
    host.sign(8, tmp_path / "new.key")
    (host.folder / "trusted" / "stack.pub").unlink()
    assert host.served() == LIVE
    state = host.release_registered(candidate)
    assert state.succeeded, state.message
    assert host.served()[0] == 8
