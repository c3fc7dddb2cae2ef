"""The real images as the lake gets them."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nightshift.data.pixels import pixels_of
from nightshift.data.sources import fashion
from nightshift.data.window import Days
from nightshift.definition.load import load_pipeline
from nightshift.errors import BadDataError, UnavailableError
from tests.fashion_images import require_images


@pytest.fixture(scope="module")
def days() -> dict[date, pa.Table]:
    require_images()
    return dict(fashion.days())


def test_seventy_thousand_images_lie_in_sixty_nights_and_one(days: dict[date, pa.Table]) -> None:
    rows = [table.num_rows for table in days.values()]
    assert rows == [1000] * 60 + [10_000]
    assert list(days) == [date(2024, 1, 1) + timedelta(n) for n in range(61)]
    ids = [i for table in days.values() for i in table["id"].to_pylist()]
    assert len(set(ids)) == 70_000


def test_the_last_nights_holdout_is_the_published_test_set_and_nothing_else(
    days: dict[date, pa.Table],
) -> None:
    definition = load_pipeline("fashion")
    last = max(days)
    window = Days.of(definition.window, last)
    held_out = [day for day in window if day >= window.holdout]
    assert (window.first, held_out) == (min(days), [last])
    assert all(i.startswith("test/") for i in days[last]["id"].to_pylist())
    assert definition.schedule.end == last


def test_every_day_is_dated_and_has_every_class(days: dict[date, pa.Table]) -> None:
    for day, table in days.items():
        assert table["date"].unique().to_pylist() == [day.isoformat()]
        assert sorted(table["label"].unique().to_pylist()) == list(range(10))
    assert days[max(days)]["label"].value_counts().field("counts").to_pylist() == [1000] * 10


def test_the_bytes_are_the_published_pixels_row_by_row(days: dict[date, pa.Table]) -> None:
    packed = (fashion.INSTALLED / "train-images-idx3-ubyte.gz").read_bytes()
    published = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16)
    number = 31_007
    day = fashion.FIRST_DAY + timedelta(31)
    row = days[day].slice(7, 1)
    assert row["id"].to_pylist() == ["train/31007"]
    image = pixels_of(row["image"].combine_chunks(), fashion.SHAPE)[0]
    expected = published[number * 784 : (number + 1) * 784].reshape(28, 28, 1)
    assert np.array_equal(image, expected)
    assert 0 < image.mean() < 255


def test_another_file_than_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_images()
    shutil.copytree(fashion.INSTALLED, tmp_path / "images")
    (tmp_path / "images" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"0" * 100))
    monkeypatch.setattr(fashion, "INSTALLED", tmp_path / "images")
    with pytest.raises(
        BadDataError, match=r"t10k-labels-idx1-ubyte.gz: SHA-256 is .*, expected 8d"
    ):
        list(fashion.days())


def test_without_the_package_and_without_apt_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion, "INSTALLED", tmp_path / "missing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="apt-get install dataset-fashion-mnist") as caught:
        list(fashion.days())
    assert "\n" not in caught.value.message


def test_apt_alone_is_enough_where_the_package_is_not_installed(
    days: dict[date, pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = subprocess.run(
        ["apt-get", "download", "--print-uris", fashion.PACKAGE], capture_output=True, check=False
    )
    if printed.returncode:
        pytest.skip("apt has no lists here: 'apt-get update' was never run")
    elsewhere = Path("/usr/share/datasets/fashion-mnist-not-installed")
    monkeypatch.setattr(fashion, "INSTALLED", elsewhere)
    monkeypatch.setattr(fashion, "PACKED", Path("usr/share/datasets/fashion-mnist"))
    first = next(iter(fashion.days()))
    assert first == (min(days), days[min(days)])
