"""Keys that wrap the data keys of encrypted models: a file, or a key of AWS KMS.

``NIGHTSHIFT_MODEL_KEY`` names the key of whatever is committed from now on; without it nothing is
encrypted. ``NIGHTSHIFT_OLD_MODEL_KEYS`` lists, with commas, keys that only open what was encrypted
before. Each is either the path of a file with 32 random bytes, which nobody but its owner reads,
or ``kms:`` and the ARN of a key. ``lost:`` and a key's name, among the old ones, is a person's word
that nobody has that key any more: only then does a night go on without a champion that it opens.

A process that has no business with models is given neither.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nightshift.errors import BadDefinitionError

if TYPE_CHECKING:
    from aws_encryption_sdk.key_providers.base import MasterKeyProvider

MODEL_KEY = "NIGHTSHIFT_MODEL_KEY"
OLD_MODEL_KEYS = "NIGHTSHIFT_OLD_MODEL_KEYS"
SETTINGS = (MODEL_KEY, OLD_MODEL_KEYS)
KEY_BYTES = 32
"""AES-256."""

_KMS = "kms:"
_LOST = "lost:"
# An alias would do to encrypt, and nothing could be decrypted by it.
_ARN = re.compile(r"arn:aws[\w-]*:kms:[\w-]+:\d{12}:key/[\w-]+")
_OTHERS = 0o077


class LostKeyError(BadDefinitionError):
    """A person has said that nobody has the key any more."""


class ModelKey(Protocol):
    """Something that wraps data keys."""

    @property
    def name(self) -> str:
        """What an artifact's manifest calls it. No secret."""
        ...

    @property
    def remote(self) -> bool:
        """Whether a server holds it, which may be away or refuse."""
        ...

    @property
    def provider(self) -> MasterKeyProvider:
        """The key as the library takes it."""
        ...


@dataclass(frozen=True)
class FileKey:
    """A key that was read from a file.

    Attributes:
        secret: The key.
    """

    secret: bytes = field(repr=False)
    remote = False

    @cached_property
    def name(self) -> str:
        """A digest of the key, so that a file may be moved and renamed."""
        return f"file:{hashlib.sha256(self.secret).hexdigest()[:16]}"

    @cached_property
    def provider(self) -> MasterKeyProvider:
        """The key as the library takes it."""
        from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
        from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
        from aws_encryption_sdk.key_providers.raw import RawMasterKey

        wrapping = WrappingKey(
            wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
            wrapping_key=self.secret,
            wrapping_key_type=EncryptionKeyType.SYMMETRIC,
        )
        return RawMasterKey(provider_id="nightshift", key_id=self.name, wrapping_key=wrapping)


@dataclass(frozen=True)
class KmsKey:
    """A key that never leaves AWS KMS. Credentials are those of the environment."""

    arn: str
    remote = True

    @property
    def name(self) -> str:
        """Its ARN."""
        return f"{_KMS}{self.arn}"

    @cached_property
    def provider(self) -> MasterKeyProvider:
        """The key as the library takes it."""
        from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

        return StrictAwsKmsMasterKeyProvider(key_ids=[self.arn])


@dataclass(frozen=True)
class ModelKeys:
    """The keys of one process.

    Attributes:
        current: What new artifacts are encrypted with; None where they are not.
        old: What opens artifacts of before.
        lost: Names of keys that nobody has any more.
    """

    current: ModelKey | None = None
    old: tuple[ModelKey, ...] = ()
    lost: frozenset[str] = frozenset()

    def named(self, name: str, what: str) -> ModelKey:
        """The key that an artifact was encrypted with.

        Args:
            name: As the artifact's manifest has it.
            what: The artifact, for the error.

        Raises:
            LostKeyError: Nobody has it.
            BadDefinitionError: This process does not have it.
        """
        if name in self.lost:
            raise LostKeyError(f"{what} is encrypted with the key {name}, which is lost.")
        known = {key.name: key for key in (*self.old, self.current) if key}
        if name in known:
            return known[name]
        raise BadDefinitionError(
            f"{what} is encrypted with the key {name}, which this process does not have (it has "
            f"{', '.join(known) or 'none'}). Name that key in {MODEL_KEY}, or, where it has been "
            f"replaced since, in {OLD_MODEL_KEYS}. If nobody has it any more, add {_LOST}{name} "
            "there and train again with force."
        )


def configured_keys(environment: Mapping[str, str]) -> ModelKeys:
    """The keys that the settings name.

    Raises:
        BadDefinitionError: One of them cannot be used; says which, and why.
    """
    current = environment.get(MODEL_KEY, "").strip()
    listed = [text.strip() for text in environment.get(OLD_MODEL_KEYS, "").split(",")]
    lost = frozenset(text.removeprefix(_LOST) for text in listed if text.startswith(_LOST))
    old = [text for text in listed if text and not text.startswith(_LOST)]
    return ModelKeys(
        current=_key(current, MODEL_KEY) if current else None,
        old=tuple(_key(text, OLD_MODEL_KEYS) for text in old),
        lost=lost,
    )


def ensure_key_file(path: Path) -> None:
    """Make a key where there is none. One that is there is never replaced: models would be lost."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def _key(text: str, setting: str) -> ModelKey:
    if text.startswith(_KMS):
        return _kms_key(text.removeprefix(_KMS), setting)
    return FileKey(_secret(Path(text), setting))


def _kms_key(arn: str, setting: str) -> KmsKey:
    if not _ARN.fullmatch(arn):
        raise BadDefinitionError(
            f"{setting}: '{_KMS}{arn}' names no key. Expected '{_KMS}' and the ARN of the key "
            "itself (arn:aws:kms:REGION:ACCOUNT:key/ID): an alias cannot decrypt."
        )
    return KmsKey(arn)


def _secret(path: Path, setting: str) -> bytes:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes()
    except OSError as error:
        raise BadDefinitionError(
            f"{setting} names {path}, which cannot be read ({error.strerror}). Put the key there "
            "again: without it the models that it encrypted cannot be opened."
        ) from None
    if mode & _OTHERS:
        raise BadDefinitionError(
            f"{path} ({setting}) has mode {mode:o}: others than its owner can reach the key that "
            f"opens every model. Close it: chmod 600 {path}"
        )
    if len(secret) != KEY_BYTES:
        raise BadDefinitionError(
            f"{path} ({setting}) has {len(secret)} bytes; a key has exactly {KEY_BYTES}, as from "
            "'openssl rand 32'."
        )
    return secret
