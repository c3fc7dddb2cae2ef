"""How a release stands, as people and dashboards see it: the record and what all hosts counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nightshift.release.analysis import Check, checks
from nightshift.release.record import ReleaseRecord
from nightshift.release.status import HostStatus, counted, read_statuses
from nightshift.release.traffic import Stretch
from nightshift.storage.s3 import Bucket


@dataclass(frozen=True)
class ReleaseView:
    """One pipeline at one moment.

    Attributes:
        record: What the log says.
        stretches: What all hosts counted in the newest release, by phase and step.
        checks: How every rule stands.
    """

    record: ReleaseRecord
    stretches: Mapping[str, Stretch]
    checks: tuple[Check, ...]


def view(bucket: Bucket, record: ReleaseRecord) -> ReleaseView:
    """Look at what the hosts last reported (raises UnavailableError)."""
    return seen_by(read_statuses(bucket) if record.request else (), record)


def seen_by(statuses: Iterable[HostStatus], record: ReleaseRecord) -> ReleaseView:
    """The same of reports that are at hand."""
    asked = record.request
    if asked is None:
        return ReleaseView(record, {}, ())
    reports = [status.pipelines.get(record.pipeline) for status in statuses]
    stretches = counted(reports, asked.id)
    found = checks(stretches, asked.colour, asked.rollout)
    return ReleaseView(record, stretches, tuple(found) if stretches else ())
