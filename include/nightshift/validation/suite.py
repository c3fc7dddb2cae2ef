"""``expectations.yaml``: rules in Great Expectations' own words, read with exact errors.

The file::

    derived:                       # columns that rules need and the lake does not have
      minute: sched_dep_time % 100 # an expression over the lake's columns, as pandas.eval takes it
    expectations:
      - expect: expect_column_values_to_be_between
        arguments: {column: minute, min_value: 0, max_value: 59}
        over: window               # window (default) or newest_day
        severity: error            # error (default) stops the night; warning tells
        because: Times are HHMM.   # shown where the rule is broken
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nightshift.errors import BadDefinitionError

EXPECTATIONS_FILE = "expectations.yaml"

_COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
_COLUMN_LIST_ARGUMENTS = ("column_list", "column_set")


class Over(StrEnum):
    """Which rows a rule is about."""

    WINDOW = "window"
    NEWEST_DAY = "newest_day"


class RuleSeverity(StrEnum):
    """What a broken rule does."""

    ERROR = "error"
    WARNING = "warning"


class Entry(BaseModel):
    """One rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expect: str
    """Name of the expectation in Great Expectations."""
    arguments: dict[str, Any] = {}
    over: Over = Over.WINDOW
    severity: RuleSeverity = RuleSeverity.ERROR
    because: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names."""
        single = [self.arguments[a] for a in _COLUMN_ARGUMENTS if a in self.arguments]
        lists = [self.arguments[a] for a in _COLUMN_LIST_ARGUMENTS if a in self.arguments]
        return tuple(str(c) for c in [*single, *(c for names in lists for c in names)])

    @property
    def limit(self) -> str:
        """Its arguments apart from the columns, as one line."""
        names = {*_COLUMN_ARGUMENTS, *_COLUMN_LIST_ARGUMENTS}
        return ", ".join(f"{k} {v}" for k, v in self.arguments.items() if k not in names)


class Rules(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    derived: dict[str, str] = {}
    expectations: tuple[Entry, ...] = Field(default=())

    def with_unique(self, unique: tuple[str, ...]) -> Rules:
        """These rules, preceded by the one that ``dataset.unique`` of pipeline.yaml stands for."""
        if not unique:
            return self
        because = "dataset.unique in pipeline.yaml: these columns together tell rows apart"
        name = "expect_compound_columns_to_be_unique"
        arguments: dict[str, Any] = {"column_list": list(unique)}
        if len(unique) == 1:
            name, arguments = "expect_column_values_to_be_unique", {"column": unique[0]}
        entry = Entry(expect=name, arguments=arguments, because=because)
        return self.model_copy(update={"expectations": (entry, *self.expectations)})

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the lake that the rules and the derived columns read."""
        named = {c for entry in self.expectations for c in entry.columns}
        used = {c for expression in self.derived.values() for c in names_in(expression)}
        return frozenset((named - set(self.derived)) | used)


def read_rules(folder: Path, known_columns: Iterable[str]) -> Rules:
    """The pipeline's rules.

    Args:
        folder: The pipeline's folder.
        known_columns: Every column of the lake, to tell a misspelt one.

    Raises:
        BadDefinitionError: Not YAML, an unknown field, expectation, argument or column; the
            message names the file, the entry and what was expected.
    """
    shown = f"{folder.name}/{EXPECTATIONS_FILE}"
    rules = _parse(folder / EXPECTATIONS_FILE, shown)
    _check_columns(rules, frozenset(known_columns), shown)
    return rules


def names_in(expression: str) -> frozenset[str]:
    """The column names in a derived column's expression."""
    return frozenset(n.id for n in ast.walk(ast.parse(expression)) if isinstance(n, ast.Name))


def place_of(shown: str, number: int, entry: Entry) -> str:
    """Where an entry stands, for messages."""
    return f"{shown}: expectations.{number} ({entry.expect})"


def nearest(name: str, among: Iterable[str]) -> str:
    """A hint at the closest known name; empty where none is close."""
    close = difflib.get_close_matches(name, sorted(among), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _parse(path: Path, shown: str) -> Rules:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadDefinitionError(f"{shown} is not valid YAML: {error}", file=shown) from error
    try:
        return Rules.model_validate(fields)
    except ValidationError as error:
        lines = [f"  {line}" for line in _lines(error)]
        raise BadDefinitionError(
            f"{shown} has {len(lines)} error(s):\n" + "\n".join(lines), file=shown
        ) from None


def _lines(error: ValidationError) -> Iterator[str]:
    known = (*Rules.model_fields, *Entry.model_fields)
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"]) or "(whole file)"
        if one["type"] == "extra_forbidden":
            yield f"{where}: is not a known field{nearest(str(one['loc'][-1]), known)}"
        elif one["type"] == "missing":
            yield f"{where}: is missing; it is required"
        else:
            yield f"{where}: {one['msg']} (given: {one['input']!r})"


def _check_columns(rules: Rules, known: frozenset[str], shown: str) -> None:
    for name, expression in rules.derived.items():
        try:
            used = names_in(expression)
        except SyntaxError as error:
            raise BadDefinitionError(
                f"{shown}: derived.{name}: {expression!r} is not an expression: {error.msg}",
                file=shown,
            ) from None
        for column in sorted(used - known):
            raise BadDefinitionError(
                f"{shown}: derived.{name}: the lake has no column {column!r}"
                f"{nearest(column, known)}",
                file=shown,
            )
    allowed = known | set(rules.derived)
    for number, entry in enumerate(rules.expectations, start=1):
        for column in entry.columns:
            if column not in allowed:
                raise BadDefinitionError(
                    f"{place_of(shown, number, entry)}: neither the lake nor 'derived' has a "
                    f"column {column!r}{nearest(column, allowed)}",
                    file=shown,
                )
