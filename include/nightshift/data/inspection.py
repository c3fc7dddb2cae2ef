"""Look at one Parquet file's footer: its rows, its columns' types, the dates of its rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.columns import Column, Family, family_of
from nightshift.data.problems import Problem, Rule

if TYPE_CHECKING:
    import pyarrow.parquet as pq


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says of itself.

    Attributes:
        where: The file's address.
        day: The partition it lies in.
        rows: Number of rows.
        types: Each column's Arrow type, as text.
        families: Each column's family.
        dates: Smallest and largest value of the date column, and whether it has nulls; None
            where the file has no such column.
    """

    where: str
    day: date
    rows: int
    types: Mapping[str, str]
    families: Mapping[str, Family]
    dates: Dates | None


@dataclass(frozen=True)
class Dates:
    """The range of a file's dates, as ISO text."""

    first: str | None
    last: str | None
    wrong: int
    """Rows that are not dated as the partition says."""


def read_footer(path: Path, where: str, day: date, date_column: str) -> Footer | Problem:
    """The footer of a local copy, or what is wrong with the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        families = {field.name: family_of(field.type) for field in schema}
        dated = families.get(date_column) in (Family.DATE, Family.STRING)
        dates = _dates(file, date_column, day) if dated and file.metadata.num_rows else None
    except (pa.ArrowException, OSError) as error:
        return _unreadable(path, where, day, error)
    types = {field.name: str(field.type) for field in schema}
    return Footer(where, day, file.metadata.num_rows, types, families, dates)


def _unreadable(path: Path, where: str, day: date, error: Exception) -> Problem:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
    if size == 0:
        value = "the file is empty (0 bytes)"
    elif head == b"PAR1":
        value = f"the file is cut off or damaged ({size:,} bytes, begins as Parquet)"
    else:
        value = f"the file is not Parquet ({size:,} bytes, begins with {head!r}, not b'PAR1')"
    reason = str(error).splitlines()[0][:160]
    return Problem(
        where,
        Rule.UNREADABLE,
        f"{value}: {reason}. Write it again.",
        value,
        "Parquet",
        day,
    )


def _dates(file: pq.ParquetFile, column: str, day: date) -> Dates:
    """From the footer's own statistics where it has them, else from the column."""
    index = file.schema_arrow.get_field_index(column)
    known = [_group_range(file, group, index) for group in range(file.metadata.num_row_groups)]
    expected = day.isoformat()
    if all(limits == (expected, expected) for limits in known):
        return Dates(expected, expected, 0)
    return _dates_by_row(file, column, expected)


def _group_range(file: pq.ParquetFile, group: int, index: int) -> tuple[str, str] | None:
    statistics = file.metadata.row_group(group).column(index).statistics
    if statistics is None or not statistics.has_min_max or statistics.null_count:
        return None
    return str(statistics.min), str(statistics.max)


def _dates_by_row(file: pq.ParquetFile, column: str, expected: str) -> Dates:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.cast(file.read(columns=[column])[column], pa.string())
    right = pc.sum(pc.equal(values, expected)).as_py() or 0
    limits = pc.min_max(values).as_py()
    return Dates(limits["min"], limits["max"], len(values) - right)


def check_dates(footer: Footer, column: str) -> Problem | None:
    """Rows must be dated as the partition they lie in: a later row carries a later label."""
    dates = footer.dates
    if dates is None or not dates.wrong:
        return None
    limit = footer.day.isoformat()
    if dates.last and dates.last > limit:
        rule, value = Rule.FUTURE_DATE, dates.last
        why = "rows from the future, whose labels were not known that night"
    else:
        rule, value = Rule.WRONG_DATE, str(dates.first)
        why = "they belong to another partition"
    text = (
        f"{dates.wrong:,} of {footer.rows:,} rows have '{column}' {value}, expected {limit}: {why}"
    )
    return Problem(footer.where, rule, text, value, limit, footer.day, column)


def check_columns(
    footer: Footer, expected: Sequence[Column], usual: Mapping[str, str]
) -> list[Problem]:
    """Every expected column must be there with a type that the pipeline takes.

    Args:
        footer: The file.
        expected: The columns that the pipeline reads.
        usual: Columns and families of the dataset's other files: a column that only this file has
            may be the new name of one that it lacks.
    """
    problems = []
    for column in expected:
        family = footer.families.get(column.name)
        if family is None:
            problems.append(_missing(footer, column, usual))
        elif family not in column.accepted:
            problems.append(_changed(footer, column, column.expected))
        elif not _same_kind(family, usual.get(column.name, family)):
            problems.append(_changed(footer, column, f"{usual[column.name]}, as in other files"))
    return problems


def _same_kind(family: str, usual: str) -> bool:
    numbers = {Family.INT, Family.FLOAT}
    return family == usual or {family, usual} <= numbers


def _missing(footer: Footer, column: Column, usual: Mapping[str, str]) -> Problem:
    strangers = [n for n in footer.types if n not in usual]
    likely = likely_name(column.name, strangers or footer.types, bool(strangers))
    hint = f"; '{likely}' ({footer.types[likely]}) may be its new name" if likely else ""
    text = (
        f"column '{column.name}' ({column.expected}, for {column.role}) is missing{hint}. "
        f"The file has {len(footer.types)} columns"
    )
    value = f"missing, perhaps renamed to '{likely}'" if likely else "missing"
    return Problem(
        footer.where,
        Rule.MISSING_COLUMN,
        text,
        value,
        column.expected,
        footer.day,
        column.name,
    )


def likely_name(name: str, candidates: Iterable[str], only_new: bool) -> str | None:
    """The candidate that most looks like ``name``; a lone new column counts however it looks."""
    names = list(candidates)
    if only_new and len(names) == 1:
        return names[0]
    folded = {n.lower().replace("_", ""): n for n in names}
    close = difflib.get_close_matches(name.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    if not close and only_new:
        close = [f for f in folded if f.startswith(name.lower()) or name.lower().startswith(f)]
    return folded[close[0]] if close else None


def _changed(footer: Footer, column: Column, limit: str) -> Problem:
    found = footer.types[column.name]
    what = "holds only nulls" if footer.families[column.name] is Family.NULL else f"is {found}"
    text = f"column '{column.name}' {what}, expected {limit} (for {column.role})"
    return Problem(footer.where, Rule.CHANGED_TYPE, text, found, limit, footer.day, column.name)
