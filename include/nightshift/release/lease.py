"""Leader election: one small object that its holder keeps rewriting.

No clock is compared with another: a contender takes the lease over once it has seen the object
unchanged for the whole time to live by its own clock, and the take-over is conditional on the
object still being unchanged. A leader that was paused for longer may believe in itself for one
more write; the release log's compare-and-swap makes that harmless.
"""

from __future__ import annotations

import time
import uuid

from pydantic import BaseModel, ConfigDict

from nightshift.release.log import CONTROLLER, PREFIX
from nightshift.storage.s3 import AbsentError, Bucket, PreconditionError, Read

LEASE_KEY = f"{PREFIX}{CONTROLLER}/lease.json"
DEFAULT_TTL = 5.0


class LeaseContent(BaseModel):
    """The object: who leads, and something new at every renewal."""

    model_config = ConfigDict(frozen=True)

    holder: str
    """Empty once its holder has given it back."""
    beat: str


class Lease:
    """One contender's side of the lease. Not thread-safe: one loop owns it.

    Args:
        bucket: Bucket of the release log.
        holder: Name of this contender; nobody else has it.
        ttl: Seconds after which a lease that does not change may be taken over.
    """

    def __init__(self, bucket: Bucket, holder: str, ttl: float = DEFAULT_TTL) -> None:
        self._bucket = bucket
        self._holder = holder
        self._ttl = ttl
        self._seen_etag: str | None = None
        self._seen_at = 0.0
        self._etag: str | None = None
        self._held_until = 0.0
        self._renew_at = 0.0

    @property
    def held(self) -> bool:
        """Whether this contender leads now, without asking anybody."""
        return self._etag is not None and time.monotonic() < self._held_until

    def hold(self) -> bool:
        """Take or renew the lease where it is due; whether this contender leads.

        Raises:
            UnavailableError: The object store is away. The lease runs out by itself.
        """
        if self.held and time.monotonic() < self._renew_at:
            return True
        if self._etag is not None:
            return self._write(self._etag)
        return self._contend()

    def release(self) -> None:
        """Give the lease back, so that another need not wait for it to run out."""
        if not self.held or self._etag is None:
            return
        etag, self._etag = self._etag, None
        try:
            self._bucket.replace(LEASE_KEY, _content(""), etag=etag)
        except PreconditionError:
            pass

    def _contend(self) -> bool:
        found = self._read()
        if found is None:
            return self._create()
        # After the read: a slow one must not make what it found look old.
        now = time.monotonic()
        if found.etag != self._seen_etag:
            self._seen_etag, self._seen_at = found.etag, now
        given_back = not LeaseContent.model_validate_json(found.body).holder
        if given_back or now - self._seen_at >= self._ttl:
            return self._write(found.etag)
        return False

    def _create(self) -> bool:
        now, body = time.monotonic(), _content(self._holder)
        if not self._bucket.create(LEASE_KEY, body):
            found = self._read()
            if found is None or found.body != body:
                return False
        found = self._read()
        if found is None or found.body != body:
            return False
        return self._won(found.etag, now)

    def _write(self, etag: str) -> bool:
        # Counted from before the write: others count from when they see it, which is later.
        now, body = time.monotonic(), _content(self._holder)
        try:
            return self._won(self._bucket.replace(LEASE_KEY, body, etag=etag), now)
        except (PreconditionError, AbsentError):
            # Perhaps our own earlier try got through and only its answer was lost.
            found = self._read()
            if found is not None and found.body == body:
                return self._won(found.etag, now)
            self._etag = None
            return False

    def _won(self, etag: str, since: float) -> bool:
        self._etag, self._seen_etag = etag, None
        self._held_until = since + self._ttl
        self._renew_at = since + self._ttl / 3
        return True

    def _read(self) -> Read | None:
        try:
            return self._bucket.get(LEASE_KEY)
        except AbsentError:
            return None


def _content(holder: str) -> bytes:
    return LeaseContent(holder=holder, beat=uuid.uuid4().hex).model_dump_json().encode()
