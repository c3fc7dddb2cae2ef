"""Logged serving requests: a Parquet sample beside the dataset, pinned like the rest.

The layout is the dataset's own::

    s3://<lake>/<dataset>_requests/date=YYYY-MM-DD/*.parquet

A row is one row of a request, with the features as the client sent them under their names in
pipeline.yaml; further columns are let be. ``date`` is the day that the request was about, as the
lake dates events, so that requests lie beside the rows that they later become.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nightshift.data.columns import Column
from nightshift.data.inspection import check_columns
from nightshift.data.lake import Lake
from nightshift.data.pinned import PinnedFile
from nightshift.data.window import Days, WindowFiles

SUFFIX = "_requests"


@dataclass(frozen=True)
class PinnedRequests:
    """The sample of the holdout's days.

    Attributes:
        files: What can be compared.
        warnings: What cannot, and why: a client's log never stops a night.
    """

    files: tuple[PinnedFile, ...]
    warnings: tuple[str, ...]


def pin_requests(
    lake: Lake, days: Days, date_column: str, features: tuple[Column, ...], work: Path
) -> PinnedRequests:
    """Pin what was logged on the held-out days, as far as it has every feature.

    Args:
        lake: The dataset that the model is trained on.
        days: The night's window.
        date_column: Its name in the dataset.
        features: What a request must hold.
        work: Folder for copies, each removed after its look.
    """
    held_out = Days(first=days.holdout, holdout=days.holdout, night=days.night)
    requests = Lake(lake.bucket, lake.dataset + SUFFIX)
    seen, problems = WindowFiles(requests, held_out, date_column).look(None, work)
    files = []
    for file in seen:
        wrong = check_columns(file.footer, features, {}) if file.footer else []
        problems += wrong
        if not wrong and file.pin.rows:
            files.append(file.pin)
    warnings = [f"{problem} These requests are not compared." for problem in problems]
    return PinnedRequests(tuple(files), tuple(warnings))
