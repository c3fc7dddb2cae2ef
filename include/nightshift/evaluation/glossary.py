"""What the evaluation report's words mean, for a reader who has nothing but the page."""

from __future__ import annotations

from nightshift.evaluation.result import Evaluation
from nightshift.reports.page import Section, Table, Text

_METRICS = (
    (
        "AUC",
        "chance that a random row with label 1 scores above a random one with label 0; a coin "
        "has 0.5",
    ),
    (
        "PR-AUC",
        "mean precision over all shares found (Davis and Goadrich 2006); a coin has the "
        "share of label 1",
    ),
    (
        "log loss",
        "mean of minus the logarithm of the chance given to what happened, in nats; lower "
        "is better",
    ),
    ("accuracy", "share of rows decided as their label says"),
    ("precision", "share of the selected rows that have label 1"),
    ("recall", "share of the rows with label 1 that are selected"),
    (
        "calibration error",
        "how far scores are from how often label 1 happens, on average over ten "
        "bins (Naeini et al. 2015); lower is better",
    ),
    ("selection rate", "share of rows that are selected: those that score the threshold or more"),
)
_CLASS_METRICS = ("log loss", "accuracy")
_WORDS = (
    ("candidate", "the model trained this night"),
    ("champion", "the model that serves now, asked about the same rows"),
    ("holdout", "the window's last rows, which the candidate was not trained on"),
)


def glossary(evaluation: Evaluation) -> Section:
    """The section, folded."""
    metrics = [m for m in _METRICS if not evaluation.confusion or m[0] in _CLASS_METRICS]
    told = (
        "Intervals come from a bootstrap, of shares of rows from the exact binomial; each end "
        f"holds at {evaluation.confidence:.0%} by itself. They tell what the number of rows leaves "
        "open, not what other days will bring. Groups with too few rows are listed and not judged."
    )
    if evaluation.champion_version is not None:
        told = (
            "Differences are the candidate's value less the champion's, on the same rows. " + told
        )
    rows = [*_WORDS, *metrics]
    return Section(
        "What the words mean", [Table(("word", "meaning"), rows), Text(told)], folded=True
    )
