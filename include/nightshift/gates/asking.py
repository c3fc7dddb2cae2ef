"""How often nights ask a person: a gate that asks every night is no gate, and people stop reading.

The share is a metric of every night in MLflow; above ``approval.alarm_share`` it is an alarm.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from nightshift.definition.approval import Approval
from nightshift.gates.decisions import Decisions
from nightshift.storage.s3 import Bucket

METRIC = "approval_asked_share"


@dataclass(frozen=True)
class Asking:
    """How many of the last nights asked.

    Attributes:
        asked: Nights that asked.
        nights: Nights looked at: ``approval.nights``, or as many as there are yet.
    """

    asked: int
    nights: int

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.asked / self.nights if self.nights else 0.0

    def alarm(self, approval: Approval) -> str:
        """What on-call should know; empty while nights ask seldom enough.

        Counts against all of ``approval.nights``, so that the first night of a pipeline that asks
        is no alarm.
        """
        if self.asked <= approval.alarm_share * approval.nights:
            return ""
        return (
            f"{self.asked} of the last {self.nights} nights asked a person; approval.alarm_share "
            f"allows {approval.alarm_share:.0%} of {approval.nights}. The rules cannot tell good "
            "from bad on this holdout: hold out more days, or give the rules wider margins."
        )


def count_asking(nights: Sequence[date], asked: Collection[date], night: date, last: int) -> Asking:
    """How many of the last nights up to this one asked.

    Args:
        nights: Nights that were run, in any order.
        asked: Those that asked a person.
        night: The night at hand; it need not be among ``nights``.
        last: How many to look at.
    """
    looked_at = sorted({night, *(known for known in nights if known <= night)})[-last:]
    return Asking(sum(known in asked for known in looked_at), len(looked_at))


def asking(bucket: Bucket, pipeline: str, night: date, approval: Approval, *, asks: bool) -> Asking:
    """How often the pipeline asks, this night included (raises UnavailableError).

    Args:
        bucket: The artifact bucket.
        pipeline: Name of the pipeline.
        night: The night at hand.
        approval: How far back to look.
        asks: Whether this night asks.
    """
    prefix = f"{pipeline}/runs/"
    names = (name.removeprefix(prefix).rstrip("/") for name in bucket.folders(prefix))
    nights = sorted(found for name in names if (found := date.fromisoformat(name)) < night)
    nights = nights[-approval.nights :]
    asked = Decisions(bucket, pipeline).asked_nights(tuple(nights))
    return count_asking(nights, {*asked, night} if asks else asked, night, approval.nights)
