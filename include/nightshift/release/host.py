"""One serving host: makes the records so, with its two model servers and its Envoy.

The order keeps requests whole. A colour takes traffic only once this host has loaded and verified
its version. A colour that still takes traffic is not told to hold anything else, whatever the
record says, until its route has moved away.

A host that was away for two releases has traffic on the very colour that must change: it goes by
the way back on the other one. Where none can be had there, its version is changed under its route:
better a moment without an answer on one host than answers of a version long left.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import RefusedError
from nightshift.release import machine
from nightshift.release.candidate import Candidate
from nightshift.release.edge import Edge
from nightshift.release.event import EventKind
from nightshift.release.files import write_atomically
from nightshift.release.layout import HostLayout
from nightshift.release.memory import HostMemory, PendingRollback
from nightshift.release.model_config import render_config
from nightshift.release.model_server import ModelServer
from nightshift.release.placement import Placement
from nightshift.release.projection import apply
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.routes import PipelineRoute
from nightshift.release.slot import Slot
from nightshift.release.status import PipelineStatus, RouteStatus, SlotState
from nightshift.signing.versions import TrustedKeys

_log = logging.getLogger(__name__)

_LACKING_STEP = 5.0


class Host:
    """What this host should do and what it does.

    Records may come from any thread; :meth:`reconcile` is called from one.

    Args:
        layout: Its folders.
        memory: What it knew when it was last running.
        edge: Its Envoy.
        servers: Its model servers by colour.
        store: Where artifacts come from.
        on_change: Called whenever :meth:`reconcile` is worth calling or :meth:`statuses` differ.
        trust: Keys of which one must have signed a version; None where nothing is signed.
    """

    def __init__(
        self,
        *,
        layout: HostLayout,
        memory: HostMemory,
        edge: Edge,
        servers: Mapping[Colour, ModelServer],
        store: ArtifactStore,
        on_change: Callable[[], None],
        trust: TrustedKeys | None = None,
    ) -> None:
        self._trust = trust
        self._layout = layout
        self._memory = memory
        self._edge = edge
        self._servers = servers
        self._store = store
        self._on_change = on_change
        self._lock = threading.RLock()
        self._records = memory.records()
        self._pending = memory.pending()
        self._slots: dict[tuple[str, Colour], Slot] = {}
        self._statuses: dict[str, PipelineStatus] = {}
        self._lacking_since: dict[str, float] = {}

    # --- What it should do --------------------------------------------------------------------

    def learn(self, record: ReleaseRecord) -> None:
        """Take a record of the log; older ones than the known are ignored."""
        with self._lock:
            known = self._records.get(record.pipeline)
            if known is not None and known.number >= record.number:
                return
            self._memory.keep_record(record)
            self._records[record.pipeline] = record
        self._on_change()

    def records(self) -> dict[str, ReleaseRecord]:
        """What it acts on: the log's records, with roll-backs made here over them."""
        with self._lock:
            return {**self._records, **{n: p.record for n, p in self._pending.items()}}

    def pending(self) -> tuple[PendingRollback, ...]:
        """Roll-backs made here that the log has yet to hear of."""
        with self._lock:
            return tuple(self._pending.values())

    def roll_back(self, pipeline: str, *, by: str, reason: str) -> PendingRollback:
        """Roll back on this host alone, at once; the log hears of it as soon as it can.

        Raises:
            RefusedError: Nothing to go back to, or not without the object store.
            ReleaseUnderWayError: The other colour is being changed.
        """
        with self._lock:
            record = self.records().get(pipeline)
            if record is None:
                raise RefusedError(
                    f"This host serves no pipeline {pipeline!r}; it serves "
                    f"{sorted(self._records) or 'none yet'}."
                )
            rollback = _rolled_back(record, by, reason)
            self._memory.keep_pending(rollback)
            self._pending[pipeline] = rollback
        self._on_change()
        return rollback

    def settle(self, pipeline: str, record: ReleaseRecord) -> None:
        """The log has a roll-back made here, or has something newer: act on the log again."""
        self.learn(record)
        with self._lock:
            self._memory.drop_pending(pipeline)
            self._pending.pop(pipeline, None)
        self._on_change()

    # --- What it does -------------------------------------------------------------------------

    def reconcile(self) -> None:
        """One look: tell slots what to hold, servers what to load, Envoy where to route."""
        records = self.records()
        for record in records.values():
            self._tell_slots(record)
        for colour in Colour:
            self._write_config(colour)
        self._edge.set([self._route(record) for record in records.values()])
        self._edge.confirm()
        statuses = {name: self._status(record) for name, record in records.items()}
        with self._lock:
            self._statuses = statuses

    def statuses(self) -> dict[str, PipelineStatus]:
        """What to report, as of the last :meth:`reconcile`."""
        with self._lock:
            return dict(self._statuses)

    def _tell_slots(self, record: ReleaseRecord) -> None:
        for colour in Colour:
            self._slot(record.pipeline, colour).want(self._to_hold(record, colour))

    def _to_hold(self, record: ReleaseRecord, colour: Colour) -> Candidate | None:
        """What a colour should hold now: while it takes traffic with another version, that one."""
        wanted, routed = record.slot(colour), self._edge.route(record.pipeline).version(colour)
        held = self._slot(record.pipeline, colour).wanted
        if routed is None or (wanted and (wanted.version == routed or wanted == held)):
            return wanted
        # After the agent's restart the record alone knows what the version was.
        asked = record.request.candidate if record.request else None
        known = [c for c in (held, asked, *record.history) if c and c.version == routed]
        if known and (colour not in record.colours or self._has_way_round(record, colour)):
            return known[0]
        if wanted:
            _log.warning(
                "%s: %s changes from version %s to %s under its route: nothing else here may "
                "answer meanwhile",
                *(record.pipeline, colour, routed, wanted.version),
            )
        return wanted

    def _has_way_round(self, record: ReleaseRecord, colour: Colour) -> bool:
        """Whether the other colour holds, or can yet hold, the way back of the live version."""
        other, back = record.slot(colour.other), record.previous
        state = self._slot(record.pipeline, colour.other).status.state
        return (
            other is not None
            and back is not None
            and other.version == back.version
            and state is not SlotState.FAILED
        )

    def _write_config(self, colour: Colour) -> None:
        served = {
            pipeline: (self._layout.served_base_path(colour, pipeline), slot.configured)
            for (pipeline, owner), slot in self._slots.items()
            if owner is colour
        }
        loaded = {name: (path, version) for name, (path, version) in served.items() if version}
        text, file = render_config(loaded), self._layout.config_file(colour)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_atomically(file, text, mode=0o600)
            names = ", ".join(f"{name} {version}" for name, (_, version) in loaded.items())
            _log.info("%s is to serve %s", colour, names or "nothing")

    def _route(self, record: ReleaseRecord) -> PipelineRoute:
        """The route that the record asks for, as far as this host is ready for it."""
        wanted, current = PipelineRoute.wanted_by(record), self._edge.route(record.pipeline)
        if all(self._is_ready(record, current, colour) for colour in wanted.colours):
            return wanted
        return self._way_round(record, current) or current

    def _way_round(self, record: ReleaseRecord, current: PipelineRoute) -> PipelineRoute | None:
        """All traffic by the way back, while the colour that has it must change."""
        for colour in set(current.colours) & set(record.colours):
            wanted, back = record.slot(colour), record.slot(colour.other)
            must_change = wanted and wanted.version != current.version(colour)
            there = self._has_way_round(record, colour)
            if must_change and back and there and self._is_ready(record, current, colour.other):
                return PipelineRoute.all_to(record.pipeline, colour.other, back.version)
        return None

    def _is_ready(self, record: ReleaseRecord, current: PipelineRoute, colour: Colour) -> bool:
        candidate = record.slot(colour)
        assert candidate is not None
        if current.version(colour) == candidate.version and colour in current.colours:
            return True
        slot = self._slot(record.pipeline, colour)
        return slot.wanted == candidate and slot.status.state is SlotState.VERIFIED

    def _status(self, record: ReleaseRecord) -> PipelineStatus:
        blue = self._slot(record.pipeline, Colour.BLUE).status
        green = self._slot(record.pipeline, Colour.GREEN).status
        return PipelineStatus(
            number=record.number, blue=blue, green=green, route=self._route_status(record)
        )

    def _route_status(self, record: ReleaseRecord) -> RouteStatus:
        status = self._route_seen(record)
        if status.follows(record):
            self._lacking_since.pop(record.pipeline, None)
            return status
        since = self._lacking_since.setdefault(record.pipeline, time.monotonic())
        # In coarse steps: each is a report.
        lacking = (time.monotonic() - since) // _LACKING_STEP * _LACKING_STEP
        return status.model_copy(update={"lacking_seconds": lacking})

    def _route_seen(self, record: ReleaseRecord) -> RouteStatus:
        current = self._edge.route(record.pipeline)
        if not self._edge.confirmed:
            return RouteStatus(message="Envoy was not yet seen to use the new routes")
        wanted = PipelineRoute.wanted_by(record)
        lacking = [
            colour for colour in wanted.colours if not self._is_ready(record, current, colour)
        ]
        message = "; ".join(
            f"{c} is {self._slot(record.pipeline, c).status.state}" for c in lacking
        )
        return RouteStatus(
            weights=current.weights, blue=current.blue, green=current.green, message=message
        )

    def _slot(self, pipeline: str, colour: Colour) -> Slot:
        key = (pipeline, colour)
        if key not in self._slots:
            placement = Placement(self._layout, pipeline, colour, self._trust)
            self._slots[key] = Slot(placement, self._store, self._servers[colour], self._on_change)
        return self._slots[key]


def _rolled_back(record: ReleaseRecord, by: str, reason: str) -> PendingRollback:
    change = machine.roll_back(record, by=by, reason=reason)
    if change.kind is EventKind.REQUESTED:
        raise RefusedError(
            f"{record.pipeline}: the version before is no longer loaded on the other colour; "
            "roll back by './nightshift rollback', which stages it first."
        )
    assert record.since is not None and record.newest is not None
    # The time is the log's to give; until then the last event's stands in for it.
    after = apply(record, change, number=record.number, at=record.since)
    assert after.champion is not None
    return PendingRollback(
        id=uuid.uuid4().hex,
        by=by,
        reason=reason,
        from_version=record.newest.version,
        to_version=after.champion.version,
        record=after,
    )
