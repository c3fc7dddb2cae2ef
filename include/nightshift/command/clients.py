"""``client``: who may ask the served models, and with which key or certificate."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table

from nightshift.command.display import console
from nightshift.command.stack import shown
from nightshift.errors import BadDefinitionError
from nightshift.release.clients import EVERY_PIPELINE, Client
from nightshift.release.files import write_atomically
from nightshift.stack.certificates import Authority
from nightshift.stack.doors import (
    DEMO,
    authority_folder,
    ca_certificate,
    clients_file,
    demo_header,
    make_doors,
    new_key,
    read_clients,
    write_clients,
)
from nightshift.stack.passwords import write_private
from nightshift.stack.settings import StackSettings, current_settings

_KEYS_KEPT = 2

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the client.")]

app = typer.Typer(
    help="Who may ask the served models, with a key or a certificate.\n\n"
    "The agent reads the file again by itself: nothing is restarted.\n\nExamples:\n\n"
    "  ./nightshift client add shop --pipeline flights --requests-per-second 200\n\n"
    "  ./nightshift client rotate shop      a second key; the one before it goes on\n\n"
    "  ./nightshift client rotate shop --drop-old",
    no_args_is_help=True,
)


@app.command("list")
def list_clients() -> None:
    """Every client, what it may ask and how often. Shows no key."""
    settings = _settings()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("client", "pipelines", "keys", "requests a second"):
        table.add_column(column)
    for client in read_clients(settings).clients:
        rate = str(client.requests_per_second or "no limit")
        table.add_row(client.name, ", ".join(client.pipelines), str(len(client.keys)), rate)
    console.print(table)
    console.print(f"Kept in {shown(clients_file(settings))}")


@app.command()
def add(
    name: Name,
    pipeline: Annotated[
        list[str] | None, typer.Option(help="One that it may ask; again for more. Default: all.")
    ] = None,
    requests_per_second: Annotated[
        int | None, typer.Option(min=1, help="On each serving host; default: no limit.")
    ] = None,
) -> None:
    """Let a client in, with a new key, which is written to a file that only you can read."""
    settings = _settings()
    clients = read_clients(settings).clients
    if any(client.name == name for client in clients):
        raise BadDefinitionError(
            f"There is a client '{name}' already; see ./nightshift client list"
        )
    try:
        client = Client(
            name=name,
            pipelines=tuple(pipeline or [EVERY_PIPELINE]),
            keys=(new_key(),),
            requests_per_second=requests_per_second,
        )
    except ValidationError:
        raise BadDefinitionError(
            f"'{name}' is no client's name; expected small letters, digits and '-'."
        ) from None
    _save(settings, [*clients, client], client)


@app.command()
def rotate(
    name: Name,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="End the keys before the newest; make no new one.")
    ] = False,
) -> None:
    """Give a client a new key beside the one it has; end the old one once it uses the new."""
    settings = _settings()
    client = _client(settings, name)
    keys = client.keys[-1:] if drop_old else (*client.keys, new_key())[-_KEYS_KEPT:]
    changed = client.model_copy(update={"keys": keys})
    clients = read_clients(settings).clients
    _save(settings, [changed if c.name == name else c for c in clients], changed)


@app.command()
def remove(name: Name) -> None:
    """Let a client in no more."""
    settings = _settings()
    _client(settings, name)
    write_clients(settings, [c for c in read_clients(settings).clients if c.name != name])
    console.print(f"{name} is let in no more.")


@app.command()
def certificate(
    name: Name, days: Annotated[int, typer.Option(min=1, help="How long it is valid.")] = 365
) -> None:
    """A certificate of the stack's authority, for a client that cannot send a header."""
    settings = _settings()
    _client(settings, name)
    folder = settings.home / "clients"
    folder.mkdir(mode=0o700, exist_ok=True)
    issued = Authority(authority_folder(settings)).issue([name], days=days, client=True)
    write_private(folder / f"{name}.key", issued.key)
    write_atomically(folder / f"{name}.crt", issued.certificate)
    console.print(f"{shown(folder / name)}.crt and .key, valid for {days} days")
    console.print(f"It must trust {shown(ca_certificate(settings))}")


def _settings() -> StackSettings:
    settings = current_settings()
    settings.make_folders()
    make_doors(settings)
    return settings


def _client(settings: StackSettings, name: str) -> Client:
    for client in read_clients(settings).clients:
        if client.name == name:
            return client
    raise BadDefinitionError(f"There is no client '{name}'; see ./nightshift client list")


def _save(settings: StackSettings, clients: list[Client], changed: Client) -> None:
    write_clients(settings, clients)
    make_doors(settings)
    if changed.name == DEMO:
        key = demo_header(settings)
    else:
        folder = settings.home / "clients"
        folder.mkdir(mode=0o700, exist_ok=True)
        key = folder / f"{changed.name}.header"
        write_private(key, f"x-api-key: {changed.keys[-1]}\n")
    console.print(f"{changed.name} may ask {', '.join(changed.pipelines)}; key: {shown(key)}")
