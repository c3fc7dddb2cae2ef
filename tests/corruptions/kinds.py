"""Kinds of corruption: each function gives a way to spoil one day by a strength.

``nulls("carrier")(day, 0.05, rng)`` is the day's table with 5 % of that column empty, at random
places. The same seed gives the same rows. What a strength counts is the second part of a kind's
docstring; where it says nothing the kind is all or nothing, and its strength is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nightshift.data.lake import parquet_bytes


@dataclass(frozen=True)
class Day:
    """One day as its writer hands it over.

    Attributes:
        date: The partition's date.
        rows: Its rows.
        before: The rows of the day before it.
    """

    date: date
    rows: pa.Table
    before: pa.Table


Spoilt: TypeAlias = pa.Table | bytes | None
"""What lies in the lake then: a table, a file's bytes, or nothing."""
Spoil = Callable[[Day, float, np.random.Generator], Spoilt]
Change = Callable[[NDArray[np.object_]], list[object]]


def nulls(column: str) -> Spoil:
    """Values are empty: share of the rows."""
    return _some(column, lambda values: [None] * len(values))


def not_a_number(column: str) -> Spoil:
    """Numbers become NaN: share of the rows."""
    return _some(column, lambda values: [float("nan")] * len(values))


def out_of_range(column: str, value: float) -> Spoil:
    """A value that a form's default or an overflow leaves: share of the rows."""
    return _some(column, lambda values: [type(values[0])(value)] * len(values))


def typos(column: str) -> Spoil:
    """A category's last letter is another: share of the rows."""
    return _some(column, lambda values: [f"{v[:-1]}#" for v in values])


def lower_case(column: str) -> Spoil:
    """Categories in lower case: share of the rows."""
    return _some(column, lambda values: [v.lower() for v in values])


def first_capital(column: str) -> Spoil:
    """Categories with a capital: share of the rows."""
    return _some(column, lambda values: [v.capitalize() for v in values])


def garbled(column: str) -> Spoil:
    """Bytes read in another encoding: share of the rows."""
    return _some(column, lambda values: [f"\u00ef\u00bf\u00bd{v}" for v in values])


def new_category(column: str, value: object) -> Spoil:
    """A category never seen before: share of the rows."""
    return _some(column, lambda values: [value] * len(values))


def constant(column: str) -> Spoil:
    """A stuck feed repeats the first value: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        first = next(v for v in day.rows[column].to_pylist() if v is not None)
        return _some(column, lambda values: [first] * len(values))(day, strength, rng)

    return spoil


def scaled(column: str) -> Spoil:
    """Another unit: the factor, such as 1.609344 for kilometres where miles are expected."""
    return _each(column, lambda numbers, strength: numbers * strength)


def moved(column: str) -> Spoil:
    """The whole distribution moves: by how much, in the column's own unit."""
    return _each(column, lambda numbers, strength: numbers + strength)


def negated(column: str) -> Spoil:
    """The sign is turned."""
    return _each(column, lambda numbers, _: -numbers)


def renumbered(column: str, classes: int) -> Spoil:
    """Class numbers count from elsewhere: by how many."""
    return _each(column, lambda numbers, strength: (numbers + strength) % classes)


def minutes_of_hhmm(column: str) -> Spoil:
    """1745 becomes 1065, the minutes after midnight."""
    return _each(column, lambda numbers, _: numbers // 100 * 60 + numbers % 100)


def other_clock(*columns: str) -> Spoil:
    """HHMM on the clock of another time zone: by how many hours."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        table = day.rows
        for column in columns:
            moves = _each(column, lambda numbers, hours: (numbers + 100 * hours) % 2400)
            table = moves(Day(day.date, table, day.before), strength, rng)
        return table

    return spoil


def as_text(column: str) -> Spoil:
    """Numbers are written as text."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        return _with(day.rows, column, pc.cast(day.rows[column], pa.string()))

    return spoil


def missing(column: str) -> Spoil:
    """The column is gone."""
    return lambda day, strength, rng: day.rows.drop_columns([column])


def renamed(column: str, to: str) -> Spoil:
    """The column has another name."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        names = [to if name == column else name for name in day.rows.column_names]
        return day.rows.rename_columns(names)

    return spoil


def swapped(one: str, other: str) -> Spoil:
    """Two columns hold each other's values."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        return _with(_with(day.rows, one, day.rows[other]), other, day.rows[one])

    return spoil


def misaligned(column: str) -> Spoil:
    """The column's values stand in other rows, as after a wrong join: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        at = np.arange(day.rows.num_rows)
        chosen = _chosen(len(at), strength, rng)
        at[chosen] = rng.permutation(chosen)
        return _with(day.rows, column, day.rows[column].take(at))

    return spoil


def leaked(column: str, source: str) -> Spoil:
    """A feature holds what is only known afterwards: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        rows = day.rows
        chosen = np.zeros(rows.num_rows, bool)
        chosen[_chosen(rows.num_rows, strength, rng)] = True
        known = pc.and_(pa.array(chosen), pc.is_valid(rows[source]))
        value = pc.cast(rows[source], rows.schema.field(column).type)
        return _with(rows, column, pc.if_else(known, value, rows[column]))

    return spoil


def duplicated() -> Spoil:
    """Rows are there twice: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        again = day.rows.take(_chosen(day.rows.num_rows, strength, rng))
        return pa.concat_tables([day.rows, again])

    return spoil


def dropped() -> Spoil:
    """Rows are lost here and there: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        return day.rows.take(np.sort(_chosen(day.rows.num_rows, 1 - strength, rng)))

    return spoil


def cut_off(column: str) -> Spoil:
    """The rows last by a column are lost, as when an export stops early: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        kept = round((1 - strength) * day.rows.num_rows)
        return day.rows.sort_by(column).slice(0, kept)

    return spoil


def category_lost(column: str, value: object) -> Spoil:
    """One source's feed is missing."""
    return lambda day, strength, rng: day.rows.filter(pc.not_equal(day.rows[column], value))


def stale(*, with_dates: tuple[str, ...] = ()) -> Spoil:
    """Yesterday's rows under today's date.

    Args:
        with_dates: Columns that whoever delivers them again sets right too.
    """

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        rows = _with(day.before, "date", pa.array([day.date.isoformat()] * day.before.num_rows))
        for column in with_dates:
            rows = _with(rows, column, pa.array([day.rows[column][0].as_py()] * rows.num_rows))
        return rows

    return spoil


def misdated() -> Spoil:
    """Rows are dated a day later, as by another time zone: share of the rows."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        later = (day.date + timedelta(1)).isoformat()
        return _some("date", lambda values: [later] * len(values))(day, strength, rng)

    return spoil


def truncated_file() -> Spoil:
    """The file ends early: share of its bytes that is lost."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> bytes:
        body = parquet_bytes(day.rows)
        return body[: round((1 - strength) * len(body))]

    return spoil


def missing_day() -> Spoil:
    """There is no file."""
    return lambda day, strength, rng: None


def inverted_pixels(column: str) -> Spoil:
    """Black is white: share of the images."""
    return _pixels(column, lambda pixels, rng: 255 - pixels)


def noisy_pixels(column: str) -> Spoil:
    """Random bytes in the place of images: share of the images."""
    return _pixels(column, lambda pixels, rng: rng.integers(0, 256, len(pixels)).astype(np.uint8))


def scrambled_pixels(column: str) -> Spoil:
    """The right pixels in a wrong order: share of the images."""
    return _pixels(column, lambda pixels, rng: rng.permutation(pixels))


def blank_images(column: str) -> Spoil:
    """Every pixel is 0: share of the images."""
    return _pixels(column, lambda pixels, rng: np.zeros_like(pixels))


def shortened_images(column: str) -> Spoil:
    """The last byte of an image is lost: share of the images."""
    return _pixels(column, lambda pixels, rng: pixels[:-1])


def _pixels(
    column: str, change: Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
) -> Spoil:
    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        def each(values: NDArray[np.object_]) -> list[object]:
            return [change(np.frombuffer(v, np.uint8), rng).tobytes() for v in values]

        return _some(column, each)(day, strength, rng)

    return spoil


def _some(column: str, change: Change) -> Spoil:
    """Change a share of the rows that have a value, at random places."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        values = np.array([*day.rows[column].to_pylist(), None], dtype=object)[:-1]
        there = np.flatnonzero(values != None)  # noqa: E711 -- element by element
        chosen = there[_chosen(len(there), strength, rng)]
        replaced = change(values[chosen])
        for at, value in zip(chosen, replaced, strict=True):
            values[at] = value
        type_ = day.rows.schema.field(column).type
        return _with(day.rows, column, pa.array(values.tolist(), type_))

    return spoil


def _each(
    column: str, change: Callable[[NDArray[np.float64], float], NDArray[np.float64]]
) -> Spoil:
    """Change every number; empty ones stay empty."""

    def spoil(day: Day, strength: float, rng: np.random.Generator) -> pa.Table:
        old = day.rows[column]
        empty = old.is_null().to_numpy()
        new = change(pc.fill_null(old, 0).to_numpy().astype(np.float64), strength)
        if pa.types.is_integer(old.type):
            new = np.round(new)
        return _with(day.rows, column, pa.array(new, mask=empty).cast(old.type))

    return spoil


def _chosen(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(count, size=round(share * count), replace=False)


def _with(table: pa.Table, column: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, values)
