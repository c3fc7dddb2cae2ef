"""What a gate decided: the content of ``gate.json``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pydantic import BaseModel, ConfigDict

from nightshift.gates.rules import Judgement, Ruling
from nightshift.gates.verdict import GateVerdict

GATE_FILE = "gate.json"


def verdict_of(judgements: Sequence[Judgement]) -> GateVerdict:
    """The worst of all rules; where none was passed, nothing shows that it may."""
    rulings = {judgement.decisive for judgement in judgements}
    if Ruling.FAILED in rulings:
        return GateVerdict.FAILED
    if Ruling.INCONCLUSIVE in rulings or Ruling.PASSED not in rulings:
        return GateVerdict.INCONCLUSIVE
    return GateVerdict.PASSED


class GateResult(BaseModel):
    """A gate, whole."""

    model_config = ConfigDict(frozen=True)

    pipeline: str
    night: date
    verdict: GateVerdict
    champion_version: int | None
    no_champion: str = ""
    """Why there was nothing to compare with: floors and ceilings decided alone."""
    judgements: tuple[Judgement, ...]

    @property
    def message(self) -> str:
        """What a tired person reads: the rules that decided, and what happens now."""
        where = f"{self.pipeline}, night of {self.night}"
        decided = [j for j in self.judgements if j.decisive.value == self.verdict.value]
        lines = "\n".join(f"  {judgement}" for judgement in decided or self.judgements)
        if self.verdict is GateVerdict.PASSED:
            return f"{where}: the gate passed.{self._alone}"
        count = f"{len(decided)} of {len(self.judgements)} gate rules"
        if self.verdict is GateVerdict.FAILED:
            return f"{where}: {count} failed:\n{lines}\n{self._stays}"
        if not decided:
            return f"{where}: not one gate rule could be judged:\n{lines}\nA person decides."
        return (
            f"{where}: {count} are inconclusive, for the limit lies within the interval that the "
            f"rows allow:\n{lines}\nA person decides; until then {self._stays_lower}"
        )

    @property
    def _alone(self) -> str:
        return (
            f" Floors and ceilings decided alone: {self.no_champion}." if self.no_champion else ""
        )

    @property
    def _stays(self) -> str:
        return (
            f"Champion version {self.champion_version} goes on serving."
            if self.champion_version is not None
            else "What serves now goes on serving."
        )

    @property
    def _stays_lower(self) -> str:
        return self._stays[0].lower() + self._stays[1:]
