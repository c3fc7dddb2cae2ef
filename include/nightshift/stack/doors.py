"""The local stack's doors: its certificates, its clients file, and how a command gets in.

::

    <data>/ca/                  the stack's own authority; ca.crt is what clients trust
    <data>/tls/                 what Envoy shows, and whose certificates it takes
    <data>/agent/clients.yaml   who may ask; yours to edit, read again whenever it changes
    <data>/signing/signing.key  signs every version when it is registered
    <data>/trusted/*.pub        public keys that the agent takes signatures of
    <data>/model-keys/          model.key encrypts models, where asked for; old/*.key still open
                                what was encrypted before; lost names keys that nobody has
    <home>/demo.header          the demo client's key as a header, for curl -H @…
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from nightshift.encryption.keys import ensure_key_file
from nightshift.errors import BadDefinitionError
from nightshift.release.access import KEY_HEADER, ListenerAccess
from nightshift.release.clients import EVERY_PIPELINE, Client, Clients, parse_clients
from nightshift.signing.keys import PRIVATE_FILE, ensure_key_pair
from nightshift.stack.certificates import Authority
from nightshift.stack.passwords import write_private

if TYPE_CHECKING:
    import httpx

    from nightshift.stack.settings import StackSettings

DEMO = "demo"
MAX_REQUEST_BYTES = 32 * 1024 * 1024


def access(settings: StackSettings) -> ListenerAccess:
    """What Envoy asks of clients."""
    return ListenerAccess(
        certificates=tls_folder(settings),
        client_ca=True,
        clients=True,
        max_request_bytes=MAX_REQUEST_BYTES,
    )


def tls_folder(settings: StackSettings) -> Path:
    """What Envoy shows."""
    return settings.data / "tls"


def ca_certificate(settings: StackSettings) -> Path:
    """What clients trust."""
    return authority_folder(settings) / "ca.crt"


def authority_folder(settings: StackSettings) -> Path:
    """The authority's key and certificate."""
    return settings.data / "ca"


def clients_file(settings: StackSettings) -> Path:
    """Who may ask."""
    return settings.data / "agent" / "clients.yaml"


def demo_header(settings: StackSettings) -> Path:
    """The demo client's key as a header."""
    return settings.home / "demo.header"


def signing_key_file(settings: StackSettings) -> Path:
    """What signs versions."""
    return settings.data / "signing" / PRIVATE_FILE


def trusted_keys(settings: StackSettings) -> Path:
    """What the agent takes signatures of."""
    return settings.data / "trusted"


def model_key_file(settings: StackSettings) -> Path:
    """What models are encrypted with, where it is there."""
    return settings.data / "model-keys" / "model.key"


def old_model_keys(settings: StackSettings) -> tuple[str, ...]:
    """What models were encrypted with before, as the setting has it."""
    folder = model_key_file(settings).parent
    lost = folder / "lost"
    names = lost.read_text(encoding="utf-8").split() if lost.exists() else []
    files = sorted((folder / "old").glob("*.key"))
    return (*map(str, files), *(f"lost:{name}" for name in names))


def make_doors(settings: StackSettings) -> None:
    """Certificates that last, keys, a clients file, the demo's header. Again at every start."""
    ensure_key_pair(signing_key_file(settings), trusted_keys(settings))
    if settings.encrypt_models:
        ensure_key_file(model_key_file(settings))
    Authority(authority_folder(settings)).ensure_server(tls_folder(settings))
    if not clients_file(settings).exists():
        demo = Client(name=DEMO, pipelines=(EVERY_PIPELINE,), keys=(new_key(),))
        write_clients(settings, [demo])
    key = demo_key(settings)
    write_private(demo_header(settings), f"{KEY_HEADER}: {key}\n" if key else "")


def new_key() -> str:
    """A key that nobody guesses: 32 random bytes."""
    return secrets.token_urlsafe(32)


def read_clients(settings: StackSettings) -> Clients:
    """The clients file.

    Raises:
        BadDefinitionError: It is not of the form.
    """
    path = clients_file(settings)
    return parse_clients(path.read_text(encoding="utf-8"), str(path))


def write_clients(settings: StackSettings, clients: Iterable[Client]) -> None:
    """Replace the clients file."""
    listed = [client.model_dump(mode="json", exclude_defaults=True) for client in clients]
    clients_file(settings).parent.mkdir(parents=True, exist_ok=True)
    write_private(clients_file(settings), yaml.safe_dump({"clients": listed}, sort_keys=False))


def demo_key(settings: StackSettings) -> str | None:
    """The demo client's newest key; None where it has none."""
    keys = [c.keys[-1] for c in read_clients(settings).clients if c.name == DEMO and c.keys]
    return keys[0] if keys else None


def serving_client(settings: StackSettings, *, timeout: float = 30.0) -> httpx.Client:
    """An HTTP client that asks the served models as ``demo``.

    Raises:
        BadDefinitionError: The clients file has no key of ``demo``.
    """
    import httpx

    key = demo_key(settings)
    if key is None:
        raise BadDefinitionError(
            f"{clients_file(settings)} has no client '{DEMO}' with a key, by which this command "
            f"asks the served models. Give it one: ./nightshift client add {DEMO}"
        )
    return httpx.Client(
        base_url=f"https://127.0.0.1:{settings.ports.serving_rest}",
        headers={KEY_HEADER: key},
        verify=ssl.create_default_context(cafile=str(ca_certificate(settings))),
        timeout=timeout,
        trust_env=False,
    )
