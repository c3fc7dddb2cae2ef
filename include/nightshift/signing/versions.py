"""The signature of one version: over every byte that a host loads, and over whose version it is.

The library ``model-signing`` signs a folder: an in-toto statement with each file's SHA-256, in a
DSSE envelope. Beside the version's files the folder has ``release.json``, which names pipeline and
version. A host writes that file itself, from what it was asked to load; so a right signature of
another version, or of another pipeline's, does not fit.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from nightshift.release.files import write_atomically
from nightshift.signing.keys import PUBLIC_SUFFIX, SigningKey

RELEASE_FILE = "release.json"


class SignatureRefusedError(Exception):
    """The files are not what was signed for this version, or nobody trusted signed them."""


def signature_key(pipeline: str, version: int) -> str:
    """Where a version's signature lies in the bucket of artifacts."""
    return f"{pipeline}/versions/{version}.sig"


def sign_folder(folder: Path, pipeline: str, version: int, key: SigningKey) -> bytes:
    """Sign what lies in a folder as a pipeline's version.

    Args:
        folder: The files as a host will have them; gets ``release.json``.
        pipeline: Whose.
        version: Which.
        key: What signs.

    Returns:
        The signature, a Sigstore bundle (JSON).
    """
    from model_signing import signing

    _name(folder, pipeline, version)
    with tempfile.TemporaryDirectory() as elsewhere:
        signature = Path(elsewhere) / "signature"
        key.use_in(signing.Config()).sign(folder, signature)
        return signature.read_bytes()


class TrustedKeys:
    """The public keys that this host trusts: every ``*.pub`` of a folder, read at every check.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, folder: Path, pipeline: str, version: int, signature: bytes) -> None:
        """Hold what lies in a folder to a signature.

        Args:
            folder: The files; gets ``release.json``.
            pipeline: Whose they should be.
            version: Which they should be.
            signature: What was signed.

        Raises:
            SignatureRefusedError: They are not that; says what does not fit.
        """
        _name(folder, pipeline, version)
        public = self._key_of(signature)
        with tempfile.TemporaryDirectory() as elsewhere:
            file = Path(elsewhere) / "signature"
            file.write_bytes(signature)
            self._check(folder, file, public, f"{pipeline} version {version}")

    def _check(self, folder: Path, signature: Path, public: Path, what: str) -> None:
        from cryptography.exceptions import InvalidSignature
        from model_signing import verifying

        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=public)
            config.verify(folder, signature)
        except InvalidSignature:
            raise SignatureRefusedError(
                f"the signature of {what} is not one of the key {public.name}: it was changed"
            ) from None
        except Exception as error:
            # Whatever a forged file makes the library raise, it is a refusal.
            raise SignatureRefusedError(_explained(what, str(error))) from error

    def _key_of(self, signature: bytes) -> Path:
        """The trusted key that the signature says it was made with."""
        hint = _hint(signature)
        known = sorted(self.folder.glob(f"*{PUBLIC_SUFFIX}"))
        for public in known:
            if _fingerprint(public) == hint:
                return public
        trusted = ", ".join(public.name for public in known) or "none"
        raise SignatureRefusedError(
            f"it was signed with a key that this host does not trust (SHA-256 {hint[:16]}…; "
            f"trusted in {self.folder}: {trusted})"
        )


def _name(folder: Path, pipeline: str, version: int) -> None:
    text = json.dumps({"pipeline": pipeline, "version": version})
    write_atomically(folder / RELEASE_FILE, text)


def _hint(signature: bytes) -> str:
    try:
        bundle = json.loads(signature)
        return str(bundle["verificationMaterial"]["publicKey"]["hint"])
    except (ValueError, KeyError, TypeError):
        raise SignatureRefusedError("its signature is not readable") from None


def _fingerprint(public: Path) -> str:
    """As the library says it: of the key in its canonical PEM."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    try:
        key = load_pem_public_key(public.read_bytes())
    except (OSError, ValueError):
        return ""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _explained(what: str, mismatch: str) -> str:
    if f"Hash mismatch for '{RELEASE_FILE}'" in mismatch:
        return f"its signature is right and not of {what}: it was swapped for another version's"
    return f"its files are not those that were signed as {what}: {mismatch[:500]}"
