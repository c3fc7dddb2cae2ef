"""The champion that the snapshot pinned, and whether it can be asked about today's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nightshift.definition.model import Feature
from nightshift.release.candidate import Candidate
from nightshift.training.features import dtype_of
from nightshift.training.saved_model import Input, Predictor

FIRST_RELEASE = "no version has been released yet"


@dataclass(frozen=True)
class Champion:
    """A champion that answers.

    Attributes:
        version: Its registered version.
        predictor: Its model.
    """

    version: int
    predictor: Predictor


def why_unfit(
    candidate: Candidate, inputs: Mapping[str, Input], features: Mapping[str, Feature]
) -> str:
    """Why a champion with these signature inputs cannot be asked; empty where it can.

    A pipeline may change its features: the first night afterwards has nothing to compare with, and
    its floors and ceilings decide alone. That is said in the report, never passed over.
    """
    lacking = sorted(inputs.keys() - features.keys())
    if lacking:
        return (
            f"champion version {candidate.version} asks for {', '.join(map(repr, lacking))}, which "
            "the pipeline no longer declares"
        )
    for name, taken in inputs.items():
        declared = Input(dtype_of(features[name].type), features[name].shape or ())
        if taken != declared:
            return (
                f"champion version {candidate.version} takes {name!r} as {taken}, the pipeline now "
                f"declares {declared}"
            )
    return ""


def load_champion(
    pinned: Candidate | None,
    folder: Path | None,
    features: Mapping[str, Feature],
    classes: int = 0,
) -> tuple[Champion | None, str]:
    """The champion, or why there is none to compare with.

    Args:
        pinned: The snapshot's champion.
        folder: Its SavedModel, fetched; None where nothing is pinned.
        features: Today's features.
        classes: Today's number of classes; 0 where the label is 0 or 1.
    """
    if pinned is None or folder is None:
        return None, FIRST_RELEASE
    predictor = Predictor(folder)
    reason = why_unfit(pinned, predictor.inputs, features)
    if not reason and predictor.classes != classes:
        reason = (
            f"champion version {pinned.version} tells {predictor.classes or 2} classes apart, the "
            f"pipeline now declares {classes or 2}"
        )
    return (None, reason) if reason else (Champion(pinned.version, predictor), "")


def unusable(scores: np.ndarray) -> int:
    """Number of rows with a score that is no probability: NaN, or outside 0 to 1."""
    wrong = ~((scores >= 0) & (scores <= 1))
    return int((wrong if wrong.ndim == 1 else wrong.any(axis=1)).sum())
