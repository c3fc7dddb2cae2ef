"""Old against new in the evaluation report: which rows the candidate answers otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nightshift.evaluation.comparison import Comparison
from nightshift.evaluation.scores_figure import scores_figure
from nightshift.reports.page import Block, Cell, Figure, Figures, Section, Table, Text


def change_section(comparison: Comparison) -> Section:
    """The section; needs a champion."""
    predictions = comparison.predictions
    assert predictions.champion is not None  # the caller has asked
    ours, theirs = comparison.decisions
    flipped = float((ours != theirs).mean())
    blocks: list[Block] = [
        Text(
            f"{flipped:.2%} of the rows are decided otherwise than by the champion. A model may be "
            "no better on the whole and still change its mind about many."
        ),
        _answers(comparison),
    ]
    if not predictions.classes:
        thresholds = tuple(comparison.threshold(s) for s in comparison.scores)
        figure = scores_figure(
            predictions.champion,
            predictions.candidate,
            (thresholds[1], thresholds[0]),
            ("champion", "candidate"),
        )
        told = (
            "Each row's two scores; the darker, the more rows. On the dotted line both say the "
            "same. Dashed: from there on a row is selected, so the corners at top left and bottom "
            "right are decided otherwise."
        )
        blocks.append(Figures([Figure(figure, told)]))
    return Section("Old against new", blocks)


def _answers(comparison: Comparison) -> Table:
    """Who is right, where they agree and where they do not."""
    ours, theirs = comparison.right
    columns = (
        "rows",
        "all",
        "both right",
        "candidate alone right",
        "champion alone right",
        "both wrong",
    )
    rows = [_counts(name, at, ours, theirs) for name, at in _parts(comparison)]
    return Table(columns, rows)


def _parts(comparison: Comparison) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    labels = comparison.predictions.labels
    yield "all", np.ones(len(labels), dtype=bool)
    for number, name in enumerate(comparison.predictions.classes or ("label 0", "label 1")):
        yield name, labels == number


def _counts(
    name: str, at: NDArray[np.bool_], ours: NDArray[np.bool_], theirs: NDArray[np.bool_]
) -> list[Cell]:
    kinds = (ours & theirs, ours & ~theirs, theirs & ~ours, ~ours & ~theirs)
    return [name, int(at.sum()), *(int((at & kind).sum()) for kind in kinds)]
