"""Trials are judged on the last of the train days; the holdout is not among them."""

from __future__ import annotations

from datetime import date

import pytest

from nightshift.data.pinned import PinnedFile, Snapshot, Split
from nightshift.errors import BadDefinitionError
from nightshift.tuning.material import parted


def file(day: int, split: Split = Split.TRAIN) -> PinnedFile:
    return PinnedFile(
        date=date(2013, 1, day),
        split=split,
        key=f"small/date=2013-01-{day:02d}/part-0.parquet",
        version_id=None,
        sha256="0" * 64,
        size=1,
        rows=10,
    )


def snapshot(*days: int) -> Snapshot:
    files = [*(file(day) for day in days), file(30, Split.HOLDOUT)]
    return Snapshot(pipeline="small", night=date(2013, 1, 30), bucket="lake", files=tuple(files))


def days_of(cut: Snapshot, split: Split) -> list[int]:
    return [pinned.date.day for pinned in cut.split(split)]


@pytest.mark.parametrize(("share", "judged"), [(0.1, [10]), (0.2, [9, 10]), (0.01, [10])])
def test_the_last_days_judge_and_the_holdout_is_not_read(share: float, judged: list[int]) -> None:
    cut = parted(snapshot(*range(1, 11)), share)
    assert days_of(cut, Split.HOLDOUT) == judged
    assert days_of(cut, Split.TRAIN) == [day for day in range(1, 11) if day not in judged]


def test_one_train_day_cannot_be_cut() -> None:
    with pytest.raises(BadDefinitionError, match=r"small: 1 train days leave none to fit on"):
        parted(snapshot(1), 0.1)
