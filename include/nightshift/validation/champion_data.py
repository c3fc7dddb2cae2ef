"""What the data of the last released model looked like: its statistics, and those before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightshift.data.pinned import Snapshot, Split
from nightshift.errors import DigestMismatchError
from nightshift.steps.contract import StepContext
from nightshift.validation.history import HISTORY_FILE, NightDistances, from_json

if TYPE_CHECKING:
    from nightshift.validation.profile import Statistics

STATISTICS_FILE = "{split}.binpb"


@dataclass(frozen=True)
class ChampionData:
    """The champion's side of every comparison.

    Attributes:
        train: TFDV statistics of its training rows; None where there are none.
        history: Distances that its night and released nights before it measured.
    """

    train: Statistics | None = None
    history: list[NightDistances] = field(default_factory=list)


def read_champion_data(context: StepContext, snapshot: Snapshot) -> ChampionData:
    """From the champion's statistics artifact, which the snapshot's baseline names."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    champion = snapshot.baseline.champion
    reference = champion and champion.lineage.get("statistics")
    if not reference:
        return ChampionData()
    try:
        artifact = context.store.open(reference)
        body = context.store.read(artifact, STATISTICS_FILE.format(split=Split.TRAIN))
        known = HISTORY_FILE in artifact.manifest.files
        history = from_json(context.store.read(artifact, HISTORY_FILE)) if known else []
    except DigestMismatchError as error:
        context.log.warning(
            "Drift is not measured, for the champion's statistics are gone: %s", error
        )
        return ChampionData()
    return ChampionData(statistics_pb2.DatasetFeatureStatisticsList.FromString(body), history)
