"""The local stack's own certificate authority. In production certificates come from yours.

``ca.crt`` is what clients trust; ``ca.key`` never leaves its folder. ``tls.crt`` and ``tls.key``
are what Envoy shows, and are made anew before they expire. Private keys are mode 600.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.release.access import CERTIFICATE_FILE, CLIENT_CA_FILE, KEY_FILE
from nightshift.release.files import write_atomically

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CA_FILE = "ca.crt"
_CA_KEY_FILE = "ca.key"
_CA_DAYS = 3650
_DAYS = 365
_RENEW_DAYS = 30
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, both PEM."""

    certificate: str
    key: str


class Authority:
    """A certificate authority in a folder; made when first used.

    Args:
        folder: Where it keeps its key and certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / _CA_KEY_FILE).exists():
            self._create()

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / CA_FILE

    def issue(
        self,
        names: Sequence[str],
        *,
        days: int = _DAYS,
        client: bool = False,
        not_before: datetime | None = None,
    ) -> Issued:
        """A new certificate with a new key.

        Args:
            names: Host names and addresses of a server, or a client's one name.
            days: How long it is valid.
            client: Whether a client shows it; otherwise a server.
            not_before: From when; by default from now.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = ec.generate_private_key(ec.SECP256R1())
        start = not_before or datetime.now(UTC) - timedelta(minutes=5)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        signer, parent = self._key(), self._own_certificate()
        signed = (
            x509.CertificateBuilder()
            .subject_name(_named(names[0]))
            .issuer_name(parent.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(x509.ExtendedKeyUsage([usage]), False)
            .add_extension(_key_identifier(key), False)
            .add_extension(_authority_identifier(signer), False)
            .sign(signer, hashes.SHA256())
        )
        return Issued(_certificate_pem(signed), _key_pem(key))

    def ensure_server(self, folder: Path, names: Sequence[str] = _LOCAL_NAMES) -> None:
        """See to it that a folder has what Envoy shows, valid for another month at least."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / CLIENT_CA_FILE, self.certificate.read_text(encoding="ascii"))
        if not _lasts(folder / CERTIFICATE_FILE):
            place(folder, self.issue(names))

    def _create(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        now, name = datetime.now(UTC), _named("Nightshift local authority")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=_CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(_may_sign(), True)
            .add_extension(_key_identifier(key), False)
            .sign(key, hashes.SHA256())
        )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The key last: its being there says that the authority is whole.
        write_atomically(self.certificate, _certificate_pem(certificate))
        write_atomically(self.folder / _CA_KEY_FILE, _key_pem(key), mode=0o600)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key((self.folder / _CA_KEY_FILE).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _own_certificate(self) -> x509.Certificate:
        from cryptography import x509

        return x509.load_pem_x509_certificate(self.certificate.read_bytes())


def place(folder: Path, issued: Issued) -> None:
    """Put a server's certificate where Envoy looks.

    The key first. Between the two renames they do not belong together: Envoy refuses the pair,
    goes on with the old one, and looks again at the second rename.
    """
    write_atomically(folder / KEY_FILE, issued.key, mode=0o600)
    write_atomically(folder / CERTIFICATE_FILE, issued.certificate)


def _lasts(path: Path) -> bool:
    from cryptography import x509

    try:
        until = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return False
    return until - datetime.now(UTC) > timedelta(days=_RENEW_DAYS)


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_identifier(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    from cryptography import x509

    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _authority_identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _may_sign() -> x509.KeyUsage:
    from cryptography import x509

    unused = ("key_encipherment", "data_encipherment", "key_agreement", "content_commitment")
    off = dict.fromkeys((*unused, "digital_signature", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(key_cert_sign=True, crl_sign=True, **off)


def _certificate_pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
