"""What the agent keeps on its own disk, so that it goes on while the object store is gone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nightshift.release.files import write_atomically
from nightshift.release.record import ReleaseRecord

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)


class PendingRollback(BaseModel):
    """A roll-back made on this host alone, which the release log has yet to hear of."""

    model_config = ConfigDict(frozen=True)

    id: str
    by: str
    reason: str
    from_version: int
    to_version: int
    record: ReleaseRecord
    """The record as this host acts on it meanwhile."""


class HostMemory:
    """The last record of every pipeline, and roll-backs not yet in the log."""

    def __init__(self, state: Path) -> None:
        self._records = state / "records"
        self._pending = state / "pending"

    def records(self) -> dict[str, ReleaseRecord]:
        """All records, by pipeline."""
        return _load(self._records, ReleaseRecord)

    def pending(self) -> dict[str, PendingRollback]:
        """All roll-backs to be written into the log, by pipeline."""
        return _load(self._pending, PendingRollback)

    def keep_record(self, record: ReleaseRecord) -> None:
        """Remember a record."""
        write_atomically(self._records / f"{record.pipeline}.json", record.model_dump_json())

    def keep_pending(self, rollback: PendingRollback) -> None:
        """Remember a roll-back until it is in the log."""
        path = self._pending / f"{rollback.record.pipeline}.json"
        write_atomically(path, rollback.model_dump_json())

    def drop_pending(self, pipeline: str) -> None:
        """Forget a roll-back that the log has now."""
        (self._pending / f"{pipeline}.json").unlink(missing_ok=True)


def _load(folder: Path, type_: type[T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = type_.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            _log.error("%s cannot be read and is left out: %s", path, error)
    return found
