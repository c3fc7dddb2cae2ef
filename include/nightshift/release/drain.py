"""Hosts that a person wants out of service: who wants it, since when, why.

``serving/drains.json`` holds the newest wish of every host. It is one object for all of them,
changed by conditional write: of two people who drain the last two hosts at once, the second reads
the first one's wish and is refused. Each agent reads it beside the log and makes it so
(:mod:`nightshift.release.readiness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from nightshift.errors import RefusedError, UnavailableError
from nightshift.release.status import HostStatus, read_statuses
from nightshift.storage.s3 import AbsentError, Bucket, PreconditionError, Read

KEY = "serving/drains.json"
_ATTEMPTS = 20


class Wish(BaseModel):
    """What somebody wants of one host."""

    model_config = ConfigDict(frozen=True)

    draining: bool
    """Whether it is to be out of service."""
    by: str
    at: datetime
    """UTC."""
    reason: str


class Wishes(BaseModel):
    """The newest wish of every host that was ever drained."""

    model_config = ConfigDict(frozen=True)

    hosts: dict[str, Wish] = {}

    def drains(self, host: str) -> bool:
        """Whether a host is to be out of service."""
        wish = self.hosts.get(host)
        return wish is not None and wish.draining


def read_wishes(bucket: Bucket) -> Wishes:
    """All wishes (raises UnavailableError)."""
    return _wishes(_read(bucket))


def drain(bucket: Bucket, host: str, *, by: str, reason: str, force: bool = False) -> None:
    """Ask for a host to be out of service.

    Args:
        bucket: Bucket of the hosts' statuses.
        host: Which.
        by: Who asks.
        reason: Why.
        force: Though no other host is in service.

    Raises:
        RefusedError: There is no such host, it is drained already, or it is the last one.
        UnavailableError: The object store is away; asking again is safe.
    """
    now = datetime.now(UTC)

    def check(wishes: Wishes) -> None:
        require_drainable(host, wishes, read_statuses(bucket), now=now, force=force)

    _write(bucket, host, Wish(draining=True, by=by, at=now, reason=reason), check)


def undrain(bucket: Bucket, host: str, *, by: str, reason: str) -> None:
    """Ask for a host to be in service again, once it has caught up.

    Raises:
        RefusedError: It is not drained.
        UnavailableError: The object store is away; asking again is safe.
    """

    def check(wishes: Wishes) -> None:
        if not wishes.drains(host):
            drained = sorted(name for name in wishes.hosts if wishes.drains(name))
            raise RefusedError(
                f"Host {host!r} is not drained. Drained are: {', '.join(drained) or 'none'}."
            )

    _write(bucket, host, Wish(draining=False, by=by, at=datetime.now(UTC), reason=reason), check)


def require_drainable(
    host: str, wishes: Wishes, statuses: Iterable[HostStatus], *, now: datetime, force: bool
) -> None:
    """Refuse to drain what does not exist, is drained, or is the last host in service."""
    known = {status.host: status for status in statuses}
    if host not in known:
        raise RefusedError(
            f"There is no serving host {host!r}. There are: {', '.join(sorted(known)) or 'none'}."
        )
    if wishes.drains(host):
        wish = wishes.hosts[host]
        raise RefusedError(
            f"Host {host!r} is drained already, by {wish.by} since {wish.at:%Y-%m-%d %H:%M} UTC: "
            f"{wish.reason}"
        )
    if force or not _in_service(known[host], wishes, now):
        return
    if not any(_in_service(s, wishes, now) for name, s in known.items() if name != host):
        raise RefusedError(
            f"Host {host!r} is the only one in service: drained, a load balancer has nowhere to "
            "send requests, and releases wait. Bring another host up first, or say --force."
        )


def _in_service(status: HostStatus, wishes: Wishes, now: datetime) -> bool:
    return status.is_recent(now) and not status.draining and not wishes.drains(status.host)


def _write(bucket: Bucket, host: str, wish: Wish, check: Callable[[Wishes], None]) -> None:
    for _ in range(_ATTEMPTS):
        found = _read(bucket)
        wishes = _wishes(found)
        if wishes.hosts.get(host) == wish:
            # Our own earlier try got through and only its answer was lost.
            return
        check(wishes)
        if _put(bucket, found, {**wishes.hosts, host: wish}):
            return
    raise UnavailableError(
        f"s3://{bucket.name}/{KEY} changed {_ATTEMPTS} times while this was to be written; "
        "try again."
    )


def _put(bucket: Bucket, found: Read | None, hosts: Mapping[str, Wish]) -> bool:
    """Whether nobody else wrote since ``found`` was read."""
    body = Wishes(hosts=dict(hosts)).model_dump_json(indent=1).encode()
    if found is None:
        return bucket.create(KEY, body)
    try:
        bucket.replace(KEY, body, etag=found.etag)
    except PreconditionError:
        return False
    return True


def _read(bucket: Bucket) -> Read | None:
    try:
        return bucket.get(KEY)
    except AbsentError:
        return None


def _wishes(found: Read | None) -> Wishes:
    return Wishes.model_validate_json(found.body) if found else Wishes()
