"""Classes in the evaluation report: which are recognised, and what they are mistaken for."""

from __future__ import annotations

from nightshift.evaluation.result import Confusion
from nightshift.reports.page import Bar, Block, Cell, Table


def class_tables(confusion: Confusion) -> list[Block]:
    """Accuracy of each class beside the champion's, then the candidate's confusion matrix."""
    return [_accuracies(confusion), _matrix(confusion)]


def _accuracies(confusion: Confusion) -> Table:
    columns = ["class", "rows", "accuracy", "most often mistaken for"]
    if confusion.champion is not None:
        columns += ["champion's accuracy", "difference"]
    rows = [_accuracy(confusion, number) for number in range(len(confusion.classes))]
    return Table(columns, rows, caption="Accuracy of a class: the share of its rows recognised.")


def _accuracy(confusion: Confusion, number: int) -> list[Cell]:
    ours, theirs = confusion.accuracy_of(number), confusion.champion_accuracy_of(number)
    row: list[Cell] = [
        confusion.classes[number],
        sum(confusion.candidate[number]),
        None if ours is None else Bar(round(ours, 4), ours),
        _mistake(confusion, number),
    ]
    if confusion.champion is not None:
        known = ours is not None and theirs is not None
        row += [
            None if theirs is None else round(theirs, 4),
            f"{ours - theirs:+.4f}" if known else None,  # type: ignore[operator]
        ]
    return row


def _mistake(confusion: Confusion, number: int) -> str | None:
    """The wrong class that most of a class's rows were taken for; None where all are right."""
    wrong = [(n, c) for c, n in enumerate(confusion.candidate[number]) if c != number]
    rows, other = max(wrong, key=lambda pair: pair[0])
    return f"{confusion.classes[other]} ({rows:,})" if rows else None


def _matrix(confusion: Confusion) -> Table:
    rows: list[list[Cell]] = [
        [name, *counts] for name, counts in zip(confusion.classes, confusion.candidate, strict=True)
    ]
    return Table(
        ("class \\ answer", *confusion.classes),
        rows,
        caption="The candidate's confusion matrix: each row is a class, each column an answer.",
    )
