"""Real requests with their answers, sampled at this host's Envoy while somebody wants them.

One thread reads Envoy's tap (:mod:`nightshift.release.tap`) and gives each sample to whoever
asked. Whatever it meets, it goes on: a broken Envoy, a body in no known form, a callback that
raises. Serving never waits for it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from nightshift.errors import UnavailableError
from nightshift.release.address import Address
from nightshift.release.routes import COLOUR_HEADER
from nightshift.release.sample import Sample, UnreadableError, read_sample
from nightshift.release.tap import TapStream, tap_request

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.5
_LAST_RETRY_SECONDS = 10.0


class Recorder:
    """The reader of one Envoy's tap.

    Args:
        admin: Envoy's administration address.
        on_sample: Gets each sample, in the reader's thread; it must be quick.
        most_per_second: Copies beyond are counted and not looked at, whatever Envoy sends.
    """

    def __init__(
        self,
        admin: Address,
        on_sample: Callable[[Sample], None],
        *,
        most_per_second: float = 200.0,
    ) -> None:
        self._admin = admin
        self._on_sample = on_sample
        self._pace = Pace(most_per_second)
        self._condition = threading.Condition()
        self._wanted: dict[str, float] = {}
        self._stream: TapStream | None = None
        self._ended = False
        self._complaint = ""
        self._counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def want(self, shares: Mapping[str, float]) -> None:
        """Say of which pipelines which share of the requests is sampled; none closes the tap.

        Args:
            shares: Pipeline to a share between 0 and 1.
        """
        with self._condition:
            wanted = {name: share for name, share in shares.items() if share > 0}
            if wanted == self._wanted or self._ended:
                return
            self._wanted = wanted
            if wanted and not self._thread.ident:
                self._thread.start()
            self._close_stream()
            self._condition.notify_all()

    @property
    def counts(self) -> dict[str, int]:
        """What became of all copies so far: ``given``, or why not."""
        with self._condition:
            return dict(self._counts)

    @property
    def is_open(self) -> bool:
        """Whether Envoy copies requests just now."""
        with self._condition:
            return self._stream is not None

    def close(self) -> None:
        """End the thread and the tap."""
        with self._condition:
            self._ended, self._wanted = True, {}
            self._close_stream()
            self._condition.notify_all()

    # --- The thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while (wanted := self._await_wanted()) is not None:
            try:
                self._follow(wanted)
                pause = _FIRST_RETRY_SECONDS
            except UnavailableError as error:
                self._complain(error.message)
            except Exception:
                _log.exception("recorder: unforeseen; tried again")
            with self._condition:
                if self._wanted == wanted:
                    self._condition.wait(pause)
                    pause = min(pause * 2, _LAST_RETRY_SECONDS)

    def _await_wanted(self) -> dict[str, float] | None:
        with self._condition:
            self._condition.wait_for(lambda: self._wanted or self._ended)
            return None if self._ended else dict(self._wanted)

    def _follow(self, wanted: dict[str, float]) -> None:
        highest = max(wanted.values())
        stream = TapStream(self._admin, tap_request(wanted, highest, COLOUR_HEADER))
        with self._condition:
            if self._wanted != wanted:
                stream.close()
                return
            self._stream = stream
        self._complaint = ""
        names = ", ".join(f"{share:.2%} of {name}" for name, share in sorted(wanted.items()))
        _log.info("recorder: samples %s", names)
        try:
            for trace in stream.traces():
                self._take(trace, {name: share / highest for name, share in wanted.items()})
        except UnavailableError:
            if self._is_wanted(wanted):
                raise
        finally:
            with self._condition:
                self._stream = None
            stream.close()

    def _take(self, trace: bytes, kept: Mapping[str, float]) -> None:
        if not self._pace.allows():
            self._count("too_many")
            return
        try:
            sample = read_sample(trace, datetime.now(UTC))
        except UnreadableError as error:
            self._count("unreadable")
            _log.debug("recorder: a copy is left out: %s", error)
            return
        # Envoy samples at one rate: whoever wants less gets a part of that.
        if random.random() >= kept.get(sample.pipeline, 0.0):
            self._count("not_wanted")
            return
        try:
            self._on_sample(sample)
        except Exception:
            _log.exception("recorder: a sample could not be used")
        self._count("given")

    def _count(self, what: str) -> None:
        with self._condition:
            self._counts[what] += 1

    def _is_wanted(self, wanted: dict[str, float]) -> bool:
        with self._condition:
            return self._wanted == wanted

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            self._complaint = message
            _log.warning("recorder: waits: %s", message)


class Pace:
    """At most so many a second, with a second's worth saved up.

    Args:
        per_second: How many.
        clock: Seconds that only grow.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._most = self._saved = max(1.0, per_second)
        self._at = clock()

    def allows(self) -> bool:
        """Whether one more is allowed now."""
        now = self._clock()
        self._saved = min(self._most, self._saved + (now - self._at) * self._per_second)
        self._at = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
