"""The kinds of error a step can end in, and what each kind means for a retry.

Every message is written for a tired person: what happened, where (pipeline, column, file, gate),
the value against the limit, and what to do. The *kind* decides what Airflow does next.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel


class ErrorKind(StrEnum):
    """Why a step ended without an artifact."""

    BAD_DATA = "bad_data"
    """The data breaks a rule. Running again on the same data cannot help."""
    BAD_DEFINITION = "bad_definition"
    """pipeline.yaml, model.py or schema.pbtxt is wrong. A person edits it."""
    GATE_FAILED = "gate_failed"
    """The candidate is not good enough. The champion goes on serving."""
    REFUSED = "refused"
    """The request contradicts the record (an older night, a rejected version)."""
    UNAVAILABLE = "unavailable"
    """A server did not answer. The same step can succeed later: retry with back-off."""
    DEFECT = "defect"
    """An exception nobody foresaw: a bug, or a machine out of memory or disk."""

    @property
    def retryable(self) -> bool:
        """Whether the same step on the same input may succeed on another attempt."""
        return self in (ErrorKind.UNAVAILABLE, ErrorKind.DEFECT)


class NightshiftError(Exception):
    """Base of all foreseen errors; carries its kind and the facts behind the message.

    Args:
        message: One or more lines for a person.
        facts: JSON-serialisable values behind the message (column, file, value, limit).
    """

    kind: ErrorKind = ErrorKind.DEFECT

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class BadDataError(NightshiftError):
    """The data breaks a rule of the schema, the expectations or the snapshot."""

    kind = ErrorKind.BAD_DATA


class BadDefinitionError(NightshiftError):
    """A file that a data engineer writes is wrong: names file, field and what was expected."""

    kind = ErrorKind.BAD_DEFINITION


class GateFailedError(NightshiftError):
    """At least one gate rule failed; facts carry every rule with its value and limit."""

    kind = ErrorKind.GATE_FAILED


class RefusedError(NightshiftError):
    """A request that the release log or the artifact store refuses by rule."""

    kind = ErrorKind.REFUSED


class UnavailableError(NightshiftError):
    """A server cannot be reached or answered that it cannot serve now."""

    kind = ErrorKind.UNAVAILABLE


class DigestMismatchError(NightshiftError):
    """Bytes read are not the bytes that were committed. Never retried into silence."""

    kind = ErrorKind.DEFECT


class StepError(BaseModel, frozen=True):
    """An error as it crosses from a step's process to whoever started it."""

    kind: ErrorKind
    message: str
    facts: dict[str, Any] = {}
    report: str | None = None
    """S3 URI of a report that shows the failure, where the step wrote one."""

    def __str__(self) -> str:
        return self.message
