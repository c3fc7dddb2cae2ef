"""What a Ray job's log tells: who printed a line, and how the job ended.

Ray gathers the lines of all workers in the log of the job's driver, each marked with a process id
and an address. Each worker says first who it is, the driver at the end what came of the job, as
marked lines of JSON.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.errors import StepError
from nightshift.training.job import Beat, Role

LAST_LINES = 20
"""Lines of each process that are kept to explain its end."""

_WHO = "nightshift-who "
_OUTCOME = "nightshift-outcome "
_FROM_ACTOR = re.compile(
    r"\((?P<actor>\w+) pid=(?P<pid>\d+)(?:, ip=(?P<ip>[\d.]+))?\) ?(?P<text>.*)"
)
_OF_WORKERS = "RayTrainWorker"

M = TypeVar("M", bound=BaseModel)


class Who(BaseModel):
    """What a worker prints first: its role."""

    model_config = ConfigDict(frozen=True)

    role: str
    pid: int
    ip: str
    """The node's address."""


class Lost(BaseModel):
    """The process to blame for the end of the job."""

    model_config = ConfigDict(frozen=True)

    role: Role
    how: str
    beat: Beat
    """What it told last."""


class Outcome(BaseModel):
    """How the job ended: well, where neither is set."""

    model_config = ConfigDict(frozen=True)

    error: StepError | None = None
    """What a process foresaw."""
    lost: Lost | None = None


def tell(told: Who | Outcome) -> None:
    """Print one marked line, for the :class:`Transcript` at the other end."""
    mark = _WHO if isinstance(told, Who) else _OUTCOME
    print(f"{mark}{told.model_dump_json()}", flush=True)


@dataclass
class Transcript:
    """Reads a job's log line by line.

    Attributes:
        outcome: How the job ended, once it has told.
        last: The last lines of each role, and of the driver under the empty name.
    """

    outcome: Outcome | None = None
    last: dict[str, deque[str]] = field(default_factory=dict)
    _roles: dict[tuple[str, str | None], str] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """One line as a person should see it, or None where it is of Ray's own book-keeping."""
        if line.startswith(_OUTCOME):
            self.outcome = _parsed(Outcome, line.removeprefix(_OUTCOME)) or self.outcome
            return None
        match = _FROM_ACTOR.fullmatch(line)
        if match is None:
            return self._keep("", line)
        if match["actor"] != _OF_WORKERS:
            return None
        return self._of_worker((match["pid"], match["ip"]), match["text"])

    def _of_worker(self, mark: tuple[str, str | None], text: str) -> str | None:
        if text.startswith(_WHO) and (who := _parsed(Who, text.removeprefix(_WHO))):
            self._roles[mark] = who.role
            return f"{who.role} is process {who.pid} on node {who.ip}"
        # Ray leaves the address out of lines from the driver's own node.
        unknown = f"process {mark[0]} on {mark[1] or 'the head node'}"
        return self._keep(self._roles.get(mark, unknown), text)

    def _keep(self, role: str, text: str) -> str | None:
        if not text.strip():
            return None
        self.last.setdefault(role, deque(maxlen=LAST_LINES)).append(text)
        return f"{role}: {text}" if role else f"ray: {text}"


def _parsed(type_: type[M], text: str) -> M | None:
    try:
        return type_.model_validate_json(text)
    except ValidationError:  # a line that Ray cut in two, or somebody else's
        return None
