"""What validation found: one rule, one column, the value against the limit, and where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, TypeAdapter

from nightshift.errors import BadDataError

_SHOWN = 5


class Severity(StrEnum):
    """Whether a finding stops the night."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    """Known from earlier nights: in the report, not announced again."""


class Finding(BaseModel):
    """One thing that a data engineer should know."""

    model_config = ConfigDict(frozen=True)

    severity: Severity
    column: str
    """Empty where it is about rows."""
    rule: str
    """Where the limit is written, such as ``presence.min_fraction`` or an expectation's name."""
    value: str
    limit: str
    where: str
    """Which rows, such as ``2013-08-31`` or ``train``."""
    text: str
    """The whole finding as one sentence."""
    file: str | None = None
    """Key of the lake's file that it is in, where one can be named."""

    @property
    def is_drift(self) -> bool:
        """Whether it compares two distributions rather than one with a limit of its own."""
        return self.rule.startswith("COMPARATOR_")

    def as_warning(self) -> Finding:
        """The same, stopping nothing."""
        return self.model_copy(update={"severity": max(self.severity, Severity.WARNING, key=_rank)})


def _rank(severity: Severity) -> int:
    return list(Severity).index(severity)


def as_json(findings: Sequence[Finding]) -> bytes:
    """All findings as one JSON list."""
    return TypeAdapter(list[Finding]).dump_json(list(findings), indent=1)


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, then warnings, otherwise in the order found."""
    return sorted(findings, key=lambda f: _rank(f.severity))


def worst_by_column(findings: Sequence[Finding]) -> dict[str, Severity]:
    """Each column that something is said of, with the worst of it; pairs count for both."""
    worst: dict[str, Severity] = {}
    for finding in by_severity(findings):
        for column in finding.column.split(", "):
            worst.setdefault(column, finding.severity)
    return worst


def texts(findings: Sequence[Finding], severity: Severity) -> list[str]:
    """The sentences of one severity, as they stand in a result's facts."""
    return [f.text for f in findings if f.severity is severity]


def stopped_by(pipeline: str, night: date, findings: Sequence[Finding]) -> BadDataError:
    """The error that ends a night: the first error in its first line, all in its facts."""
    errors = [f for f in findings if f.severity is Severity.ERROR]
    first, *others = errors
    more = f" (and {len(others)} more)" if others else ""
    lines = [f"{pipeline}, night of {night}: {first.text}{more}"]
    lines += [f"  also {finding.text}" for finding in others[: _SHOWN - 1]]
    if len(others) >= _SHOWN:
        lines.append(f"  … all {len(errors)} are in the report")
    lines.append(
        "Nothing was trained; the champion goes on serving. Repair the partition, then trigger "
        "the night again with force: without it the night reads the bytes that it has pinned. "
        "If the data is right, change the rule instead and clear the task."
    )
    return BadDataError(
        "\n".join(lines),
        night=night.isoformat(),
        findings=[f.model_dump(mode="json") for f in errors],
        warnings=texts(findings, Severity.WARNING),
    )
