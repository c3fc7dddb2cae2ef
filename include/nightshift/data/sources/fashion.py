"""70,000 images of clothes, 28 x 28 grey pixels and one of ten classes each.

Source: Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, Zalando Research, MIT licence), as Debian's
package ``dataset-fashion-mnist`` carries it. Where that is not installed, apt's own ``download``
fetches it, which needs no root; either way each file must have the digest below.

The images have no dates. They are given such that a window grows night by night: 60 days with
1,000 of the 60,000 train images each, in their order, then one day with all 10,000 test images,
which the night of that day holds out.
"""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from nightshift.errors import BadDataError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
PACKED = Path("usr/share/datasets/fashion-mnist")
"""The same folder within the package."""
SHAPE = (28, 28, 1)
FIRST_DAY = date(2024, 1, 1)
TRAIN_DAYS, IMAGES_A_DAY = 60, 1000
TEST_DAY = FIRST_DAY + timedelta(TRAIN_DAYS)
_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"
    ),
    "train-labels-idx1-ubyte.gz": (
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"
    ),
}
_UNSIGNED_BYTES = 0x08
"""The IDX format's code for the type of its values."""


def days() -> Iterator[tuple[date, pa.Table]]:
    """Each day with its images.

    Columns: ``id`` such as 'train/00017', ``date`` 'YYYY-MM-DD', ``image`` (784 bytes, one per
    pixel, row by row, 0 is background), ``label`` 0 to 9.

    Raises:
        UnavailableError: The images are not installed and cannot be downloaded.
        BadDataError: A file is not the one that was published.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-fashion-") as scratch:
        folder = _folder(Path(scratch))
        images, labels = _read(folder, "train")
        for number in range(TRAIN_DAYS):
            first = number * IMAGES_A_DAY
            part = slice(first, first + IMAGES_A_DAY)
            day = FIRST_DAY + timedelta(number)
            yield day, _table(day, "train", first, images[part], labels[part])
        yield TEST_DAY, _table(TEST_DAY, "test", 0, *_read(folder, "t10k"))


def _folder(scratch: Path) -> Path:
    if INSTALLED.is_dir():
        return INSTALLED
    try:
        _run(["apt-get", "download", "-q", PACKAGE], scratch)
        (package,) = scratch.glob("*.deb")
        _run(["dpkg-deb", "--extract", package.name, "."], scratch)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UnavailableError(
            f"The images are in Debian's package '{PACKAGE}', which is not installed and which "
            f"apt could not download: run 'apt-get update && apt-get install {PACKAGE}' as root."
        ) from None
    return scratch / PACKED


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)


def _read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [rows, 784] and labels [rows] of one part, both uint8."""
    images = _idx(folder / f"{part}-images-idx3-ubyte.gz")
    return images.reshape(len(images), -1), _idx(folder / f"{part}-labels-idx1-ubyte.gz")


def _idx(path: Path) -> np.ndarray:
    """A file in the IDX format: two zeros, type, rank, each size as big-endian int32, values."""
    import numpy as np

    packed = path.read_bytes() if path.exists() else b""
    found = hashlib.sha256(packed).hexdigest()
    if found != _SHA256[path.name]:
        raise BadDataError(
            f"{path}: SHA-256 is {found[:16]}…, expected {_SHA256[path.name][:16]}…: not the file "
            f"that was published. Install the package '{PACKAGE}' again.",
            file=str(path),
            value=found,
            limit=_SHA256[path.name],
        )
    body = gzip.decompress(packed)
    kind, rank = body[2], body[3]
    assert kind == _UNSIGNED_BYTES  # the digest says so
    sizes = np.frombuffer(body, ">i4", count=rank, offset=4)
    return np.frombuffer(body, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def _table(day: date, part: str, first: int, images: np.ndarray, labels: np.ndarray) -> pa.Table:
    import pyarrow as pa

    rows, size = images.shape
    pixels = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(size), rows, [None, pa.py_buffer(images.tobytes())]
    )
    return pa.table(
        {
            "id": pa.array([f"{part}/{number:05d}" for number in range(first, first + rows)]),
            "date": pa.array([day.isoformat()] * rows),
            "image": pixels.cast(pa.binary()),
            "label": pa.array(labels.astype("int64")),
        }
    )
