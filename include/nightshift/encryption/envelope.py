"""Envelopes around files: the AWS Encryption SDK's message format, streamed.

Every file has a data key of its own, wrapped by the model key and kept in the file's header. The
header also has the *encryption context*: what the file is, in clear, bound to every byte after it.
A file that is opened must say that it is what was asked for.

The algorithm commits to its key and is not signed. The library's own signature would tell readers
from writers, who here hold the same key; who made a version is told by the version's signature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from nightshift.encryption.keys import ModelKey
from nightshift.errors import UnavailableError

if TYPE_CHECKING:
    from aws_encryption_sdk import EncryptionSDKClient

CHUNK_BYTES = 1 << 20
"""A frame: encrypted, checked and held in memory as a whole. The library's default, 4 KiB, would be
a turn of Python for each 4 KiB of a model."""


class TamperedError(Exception):
    """These are not the bytes that were encrypted as this file."""


def encrypting(source: IO[bytes], key: ModelKey, context: Mapping[str, str]) -> IO[bytes]:
    """A stream of the encrypted form of another.

    Args:
        source: The plain bytes.
        key: What wraps the data key.
        context: What the bytes are.

    Raises:
        UnavailableError: The key's server gives no data key.
    """
    from aws_encryption_sdk.identifiers import Algorithm

    stream = _client().stream(
        mode="encrypt",
        source=source,
        key_provider=key.provider,
        encryption_context=dict(context),
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        frame_length=CHUNK_BYTES,
    )
    with _asking(key):
        _ = stream.header
    return cast(IO[bytes], stream)


def decrypt(
    source: IO[bytes], target: IO[bytes], key: ModelKey, context: Mapping[str, str]
) -> None:
    """Write the plain form of an encrypted stream: each frame once it has been checked.

    Args:
        source: The encrypted bytes.
        target: Gets the plain bytes; what a failure leaves there is not to be used.
        key: What unwraps the data key.
        context: What the bytes must be.

    Raises:
        TamperedError: They were changed, cut off, or encrypted as something else.
        UnavailableError: The key's server does not open the data key.
    """
    from botocore.exceptions import BotoCoreError

    try:
        stream = _client().stream(
            mode="decrypt",
            source=source,
            key_provider=key.provider,
            max_body_length=CHUNK_BYTES,
        )
        with _asking(key):
            found = stream.header.encryption_context
        _require(found, context)
        while chunk := stream.read(CHUNK_BYTES):
            target.write(chunk)
    except (OSError, BotoCoreError, UnavailableError, TamperedError):
        raise  # The target's, the source's, or ours.
    except Exception as error:
        # Whatever forged bytes make the library raise, they are not what was encrypted.
        raise TamperedError(f"it cannot be decrypted ({type(error).__name__})") from error


def _client() -> EncryptionSDKClient:
    from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient

    return EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
        max_encrypted_data_keys=1,
    )


def _require(found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    differing = [
        f"{name} {found.get(name)!r} instead of {value!r}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if differing or set(found) != set(wanted):
        raise TamperedError(f"it was encrypted as another file ({', '.join(differing) or found})")


@contextmanager
def _asking(key: ModelKey) -> Iterator[None]:
    """While a data key is asked for: tell a server that is away from a file that was changed."""
    from aws_encryption_sdk.exceptions import DecryptKeyError, GenerateKeyError
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (DecryptKeyError, GenerateKeyError, BotoCoreError) as error:
        if not key.remote:
            raise
        raise UnavailableError(
            f"The key {key.name} cannot be used: {error}. Its server is away, does not let this "
            "process use it, or was shown a data key that somebody changed."
        ) from error
