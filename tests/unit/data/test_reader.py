"""Reading pinned files: the same types whoever wrote them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.data.pinned import PinnedFile, Split
from nightshift.data.reader import iter_batches, read_table
from nightshift.errors import BadDataError

PIN = PinnedFile(
    date=date(2013, 8, 31),
    split=Split.TRAIN,
    key="flights/date=2013-08-31/part-0.parquet",
    version_id="1",
    sha256="",
    size=1,
    rows=3,
)


def written(path: Path, table: pa.Table) -> tuple[PinnedFile, Path]:
    pq.write_table(table, path)
    return PIN, path


def test_files_of_several_writers_read_as_one_table(tmp_path: Path) -> None:
    one = pa.table({"n": pa.array([1], pa.int32()), "s": ["a"], "d": [date(2013, 8, 31)]})
    two = pa.table(
        {
            "d": ["2013-08-31"],
            "s": pa.array(["b"]).dictionary_encode(),
            "n": pa.array([2], pa.int64()),
        }
    )
    files = [written(tmp_path / "1", one), written(tmp_path / "2", two)]
    assert read_table(files, ["s", "n", "d"]).to_pydict() == {
        "s": ["a", "b"],
        "n": [1, 2],
        "d": ["2013-08-31", "2013-08-31"],
    }


def test_batches_hold_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    files = [written(tmp_path / "1", pa.table({"n": list(range(10)), "other": [0] * 10}))]
    batches = list(iter_batches(files, ["n"], rows=4))
    assert [b.num_rows for b in batches] == [4, 4, 2]
    assert pa.Table.from_batches(batches) == read_table(files, ["n"])


def test_a_damaged_page_is_bad_data_that_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path / "1", pa.table({"n": list(range(5000))}))
    body = bytearray(file[1].read_bytes())
    body[len(body) // 3 : len(body) // 2] = b"\xff" * (len(body) // 2 - len(body) // 3)
    file[1].write_bytes(body)
    with pytest.raises(BadDataError, match=r"date=2013-08-31/part-0\.parquet.*cannot be read"):
        read_table([file], ["n"])
