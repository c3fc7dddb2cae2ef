"""Parquet written by hand, read by Arrow."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest

from nightshift.data.plain_parquet import Kind, plain_parquet

pytest.importorskip("pyarrow", reason="the reader is Arrow's")
import pyarrow.parquet as pq


def read(body: bytes) -> Any:
    return pq.read_table(io.BytesIO(body))


def test_every_kind_comes_back_with_its_nulls() -> None:
    table = read(
        plain_parquet(
            {
                "carrier": (Kind.STRING, ["AA", None, "é", ""]),
                "distance": (Kind.FLOAT, [0.1, -math.inf, None, 1e300]),
                "month": (Kind.INT, [None, -(2**63), 2**63 - 1, 0]),
                "image": (Kind.BYTES, [b"\0\xff", b"", None, b"x" * 70_000]),
            }
        )
    )

    assert [str(field.type) for field in table.schema] == ["string", "double", "int64", "binary"]
    assert table.to_pydict() == {
        "carrier": ["AA", None, "é", ""],
        "distance": [0.1, -math.inf, None, 1e300],
        "month": [None, -(2**63), 2**63 - 1, 0],
        "image": [b"\0\xff", b"", None, b"x" * 70_000],
    }


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 1000, 20_000])
def test_any_number_of_rows(rows: int) -> None:
    values = [None if row % 3 == 0 else float(row) for row in range(rows)]

    table = read(plain_parquet({"x": (Kind.FLOAT, values), "none": (Kind.STRING, [None] * rows)}))

    assert table.column("x").to_pylist() == values
    assert table.column("none").null_count == rows


def test_many_columns_with_long_names() -> None:
    columns = {f"column_{number}_" + "x" * 200: (Kind.INT, [number]) for number in range(40)}

    assert read(plain_parquet(columns)).num_columns == 40


def test_the_footer_says_what_is_there() -> None:
    body = plain_parquet({"x": (Kind.INT, [1, 2, 3])})
    metadata = pq.ParquetFile(io.BytesIO(body)).metadata

    assert (metadata.num_rows, metadata.num_row_groups, metadata.created_by) == (3, 1, "nightshift")
    assert metadata.row_group(0).column(0).compression == "GZIP"


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        plain_parquet({"x": (Kind.INT, [1]), "y": (Kind.INT, [1, 2])})
