"""What a host sees of a release by its requests: Envoy's counts, and the two versions' answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nightshift.errors import UnavailableError
from nightshift.release.meter import Meter
from nightshift.release.model_server import ModelServer
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.shadow import Shadow, ShadowTarget
from nightshift.release.status import PipelineStatus
from nightshift.release.traffic import Stretch


class Watching:
    """Counts and compares while a release is judged. One loop owns :meth:`look`.

    Args:
        meter: Counts what clients' requests met.
        shadow: Compares the two versions' answers.
        servers: The two colours' servers, asked for their memory.
    """

    def __init__(self, meter: Meter, shadow: Shadow, servers: Mapping[Colour, ModelServer]) -> None:
        self._meter = meter
        self._servers = servers
        self._shadow = shadow

    def look(self, records: Iterable[ReleaseRecord]) -> bool:
        """Count once; whether any release is judged by it."""
        known = list(records)
        judged = any(record.stretch for record in known)
        self._meter.look(known, self._memory() if judged else None)
        self._shadow.watch(_targets(known))
        return judged

    def reported(self, statuses: Mapping[str, PipelineStatus]) -> dict[str, PipelineStatus]:
        """The statuses with what was seen of each pipeline's newest judged release."""
        return {name: self._seen(name, status) for name, status in statuses.items()}

    def _memory(self) -> dict[Colour, int]:
        found = {colour: _memory_of(server) for colour, server in self._servers.items()}
        return {colour: taken for colour, taken in found.items() if taken}

    def _seen(self, pipeline: str, status: PipelineStatus) -> PipelineStatus:
        metered = self._meter.of(pipeline)
        if metered is None:
            return status
        stretches = {
            name: Stretch(
                traffic=traffic,
                compared=self._shadow.compared(pipeline, _key(metered.release, name)),
            )
            for name, traffic in metered.stretches.items()
        }
        return status.model_copy(
            update={
                "release": metered.release,
                "stretches": stretches,
                "metrics_silent_seconds": self._meter.silent_seconds,
            }
        )


def _memory_of(server: ModelServer) -> int:
    try:
        return server.memory_bytes()
    except UnavailableError:
        # A server that is away is seen by the requests that it fails.
        return 0


def _targets(records: Iterable[ReleaseRecord]) -> dict[str, ShadowTarget]:
    found = {}
    for record in records:
        target = _target(record)
        if target is not None:
            found[record.pipeline] = target
    return found


def _target(record: ReleaseRecord) -> ShadowTarget | None:
    """The two versions to compare; None where nothing is judged, or a first version is alone."""
    asked, live = record.request, record.champion
    other = record.slot(record.idle)
    if asked is None or record.stretch is None or live is None or other is None:
        return None
    assert record.live is not None
    return ShadowTarget(
        pipeline=record.pipeline,
        key=_key(asked.id, record.stretch),
        live=record.live,
        live_version=live.version,
        other=record.idle,
        other_version=other.version,
        sample=asked.rollout.shadow.sample,
        tolerance=asked.rollout.analysis.disagreement_tolerance,
        release=asked.id,
    )


def _key(release: str, stretch: str) -> str:
    return f"{release}/{stretch}"
