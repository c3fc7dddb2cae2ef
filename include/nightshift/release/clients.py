"""Who may ask which pipeline: the clients file, read again whenever it changes.

::

    clients:
      - name: shop
        pipelines: [flights]          # or ["*"] for every pipeline
        keys: [kX…]                   # two while a key is being changed, none with a certificate
        requests_per_second: 200      # on each serving host; without it as many as it likes

A client shows a key in the header ``x-api-key``, or a client certificate whose DNS name is the
client's. Envoy compares keys itself, so the file holds them as they are: keep it readable by the
agent's user alone (mode 600).
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightshift.errors import BadDefinitionError

_log = logging.getLogger(__name__)

EVERY_PIPELINE = "*"

_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
# Envoy compares header values: what no header can hold could never be shown.
_Key = Annotated[str, Field(min_length=20, max_length=200, pattern=r"^[!-~]+$")]


class Client(BaseModel):
    """One client of the served models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    """Also the DNS name in its certificate, where it shows one."""
    pipelines: tuple[str, ...]
    """Those that it may ask; ``*`` is every one."""
    keys: tuple[_Key, ...] = Field(default=(), repr=False)
    requests_per_second: int | None = Field(default=None, ge=1)
    """Allowed on each serving host, over all its pipelines; None for no limit."""

    def may_ask(self, pipeline: str) -> bool:
        """Whether the pipeline is one of its own."""
        return pipeline in self.pipelines or EVERY_PIPELINE in self.pipelines


class Clients(BaseModel):
    """All clients. Without any, nobody is let in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clients: tuple[Client, ...] = ()

    @model_validator(mode="after")
    def _are_distinct(self) -> Clients:
        names = [client.name for client in self.clients]
        if len(set(names)) < len(names):
            raise ValueError("two clients have the same name")
        keys = [key for client in self.clients for key in client.keys]
        if len(set(keys)) < len(keys):
            # Without the key itself: this message is logged.
            raise ValueError("a key is listed twice; each key belongs to one client")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every client."""
        return tuple(client.name for client in self.clients)

    def of(self, pipeline: str) -> tuple[str, ...]:
        """Names of the clients that may ask a pipeline."""
        return tuple(client.name for client in self.clients if client.may_ask(pipeline))

    def keys(self) -> Iterator[tuple[str, str]]:
        """Every key with its client's name."""
        return ((key, client.name) for client in self.clients for key in client.keys)


def parse_clients(text: str, source: str) -> Clients:
    """Read a clients file's text.

    Raises:
        BadDefinitionError: It is not of the form; says where, and never repeats a key.
    """
    try:
        raw = yaml.safe_load(text)
        return Clients.model_validate({} if raw is None else raw)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise BadDefinitionError(f"{source} is not valid YAML{line}.") from None
    except ValidationError as error:
        raise BadDefinitionError(f"{source}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """Where and what, without the values: a key must reach no log."""
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{_place(problem['loc'])}{problem['msg']}" for problem in found)


def _place(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


class ClientsFile:
    """The clients as the file last said them. Not thread-safe: one loop owns it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._clients = Clients()
        self._seen: tuple[int, int, int] | None = None
        self._complaint = ""

    def current(self) -> Clients:
        """The clients, read anew where the file has changed.

        A file that is missing or wrong changes nothing: who was let in still is, and the log says
        why. At the start that is nobody.
        """
        try:
            found = self.path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._read(found.st_mode)
                self._seen, self._complaint = seen, ""
        except (OSError, BadDefinitionError) as error:
            self._complain(str(error))
        return self._clients

    def _read(self, mode: int) -> None:
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadDefinitionError(
                f"{self.path} can be read by others (mode {mode & 0o777:o}); it holds keys: "
                f"chmod 600 {self.path}"
            )
        before = self._clients
        self._clients = parse_clients(self.path.read_text(encoding="utf-8"), str(self.path))
        if self._clients != before:
            names = ", ".join(self._clients.names)
            _log.info("clients: %s", names or "nobody is let in")

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            still = ", ".join(self._clients.names) or "nobody"
            _log.error("clients stay as they were (%s): %s", still, complaint)
