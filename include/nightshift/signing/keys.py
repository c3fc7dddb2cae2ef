"""Keys that sign versions: a file, or a token that never gives its key away.

``NIGHTSHIFT_SIGNING_KEY`` names either: a path of a private key (PEM, an elliptic curve of NIST),
or a PKCS #11 address (RFC 7512), by which key management services and hardware modules are
reached. The second needs the package ``pykcs11``, which no runtime carries, and has not been run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nightshift.errors import BadDefinitionError
from nightshift.release.files import write_atomically

if TYPE_CHECKING:
    from model_signing import signing

SIGNING_KEY = "NIGHTSHIFT_SIGNING_KEY"
PRIVATE_FILE = "signing.key"
PUBLIC_SUFFIX = ".pub"
_PKCS11 = "pkcs11:"


class SigningKey(Protocol):
    """Something that signs."""

    def use_in(self, config: signing.Config) -> signing.Config:
        """Have the library sign with it."""
        ...


@dataclass(frozen=True)
class FileKey:
    """A private key in a file of its owner's."""

    path: Path

    def use_in(self, config: signing.Config) -> signing.Config:
        """Have the library sign with it (raises BadDefinitionError)."""
        try:
            return config.use_elliptic_key_signer(private_key=self.path)
        except (OSError, ValueError, TypeError) as error:
            raise BadDefinitionError(
                f"{self.path} ({SIGNING_KEY}) is no private key that signs: {error}"
            ) from None


@dataclass(frozen=True)
class TokenKey:
    """A key behind PKCS #11."""

    address: str

    def use_in(self, config: signing.Config) -> signing.Config:
        """Have the library sign with it (raises BadDefinitionError)."""
        try:
            return config.use_pkcs11_signer(pkcs11_uri=self.address)
        except RuntimeError as error:
            raise BadDefinitionError(f"{SIGNING_KEY} is a PKCS #11 address: {error}") from None


def signing_key(text: str) -> SigningKey:
    """The key that a setting names."""
    return TokenKey(text) if text.startswith(_PKCS11) else FileKey(Path(text))


def ensure_key_pair(private: Path, trusted: Path, name: str = "stack") -> None:
    """Make a private key, and its public one among those that hosts trust, where there is none.

    Args:
        private: The private key's file; mode 600.
        trusted: Folder of public keys.
        name: Of the public key's file.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    if not private.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomically(private, pem.decode("ascii"), mode=0o600)
    public = load_pem_private_key(private.read_bytes(), None).public_key()
    shown = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = trusted / f"{name}{PUBLIC_SUFFIX}"
    if not file.exists() or file.read_bytes() != shown:
        write_atomically(file, shown.decode("ascii"))
