"""What can be wrong with the lake's files, and how it is told: file, column, value, limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum

from nightshift.errors import BadDataError

_SHOWN = 5


class Rule(StrEnum):
    """The rules that a window's files are held to before anything reads their values."""

    MISSING_DAY = "missing day"
    WRONG_PARTITION = "partitions dated with a period's last day"
    FEW_ROWS = "minimum_rows_per_day"
    UNREADABLE = "readable Parquet"
    MISSING_COLUMN = "missing column"
    CHANGED_TYPE = "column type"
    WRONG_DATE = "rows dated as their partition"
    FUTURE_DATE = "no rows from the future"


@dataclass(frozen=True)
class Problem:
    """One broken rule.

    Attributes:
        where: Address of the file or partition.
        rule: The broken rule.
        text: The sentence after the address.
        value: What was found.
        limit: What was expected.
        day: The partition.
        column: The column, where it is about one.
    """

    where: str
    rule: Rule
    text: str
    value: str
    limit: str
    day: date
    column: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def bad_lake(pipeline: str, night: date, problems: Sequence[Problem]) -> BadDataError:
    """The error that tells all problems: the first in its first line, all of them in its facts."""
    first, *others = problems
    more = f" (and {len(others)} more)" if others else ""
    lines = [f"{pipeline}, night of {night}: {first}{more}"]
    lines += [f"  also {problem}" for problem in others[: _SHOWN - 1]]
    if len(others) >= _SHOWN:
        lines.append(f"  … all {len(problems)} are in the result's facts")
    lines.append(
        "Repair the lake, then clear this task. Nothing was pinned or trained; the champion "
        "goes on serving."
    )
    facts = [asdict(p) | {"day": p.day.isoformat()} for p in problems]
    return BadDataError("\n".join(lines), night=night.isoformat(), problems=facts)
