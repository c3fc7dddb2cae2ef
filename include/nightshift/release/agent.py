"""The serving agent: one beside each serving host. ``python -m nightshift.release.agent --help``.

Several loops, so that nothing waits for what it does not need: one reads the log, one makes the
host follow it, one reports, one is the controller where this agent leads. The object store may
hang for a minute without a route or a local roll-back waiting for it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import (
    BadDefinitionError,
    NightshiftError,
    RefusedError,
    UnavailableError,
)
from nightshift.release.agent_flags import AgentFlags, parse_flags
from nightshift.release.agent_metrics import AgentMetrics, Seen
from nightshift.release.aliases import AliasMirror
from nightshift.release.clients import ClientsFile
from nightshift.release.controller import Controller
from nightshift.release.drain import read_wishes
from nightshift.release.edge import Edge
from nightshift.release.edge_metrics import EdgeMetrics, EnvoyMetrics, PrometheusMetrics
from nightshift.release.event import Event
from nightshift.release.files import close_to_others
from nightshift.release.host import Host
from nightshift.release.lease import Lease
from nightshift.release.local_api import serve_local_api
from nightshift.release.log import ReleaseLog, pipelines
from nightshift.release.memory import HostMemory, PendingRollback
from nightshift.release.meter import Meter
from nightshift.release.model_server import ModelServer
from nightshift.release.placement import clear_incoming
from nightshift.release.readiness import Readiness
from nightshift.release.reconciliation import reconcile_rollback
from nightshift.release.recording import Recording
from nightshift.release.replay import Replayer
from nightshift.release.request_log import RequestLog
from nightshift.release.shadow import Shadow
from nightshift.release.status import HostStatus, write_status
from nightshift.release.survey import Survey
from nightshift.release.watching import Watching
from nightshift.signing.versions import TrustedKeys
from nightshift.storage.s3 import artifact_bucket, lake_bucket

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 2.0
_METER_SECONDS = 1.0
_RECORD_SECONDS = 1.0
_SURVEY_SECONDS = 3.0
_GIVE_BACK_SECONDS = 2.0


class Agent:
    """All loops of one agent.

    Args:
        flags: Its configuration.
    """

    def __init__(self, flags: AgentFlags) -> None:
        self.flags = flags
        self._stop = threading.Event()
        self._work = threading.Event()
        self._report = threading.Event()
        self._look = threading.Event()
        self._bucket = artifact_bucket()
        # Made here, once: boto3 does not make clients from several threads at a time.
        _ = self._bucket.client
        servers = {c: ModelServer(upstream.rest) for c, upstream in flags.servers.items()}
        self._requests = RequestLog(lake_bucket(), flags.host, seconds=flags.record_seconds)
        self._shadow = Shadow(
            flags.envoy_admin, servers, flags.layout.state, also=self._requests.add
        )
        self._host = Host(
            layout=flags.layout,
            memory=HostMemory(flags.layout.state),
            edge=Edge(
                flags.layout,
                flags.envoy_admin,
                flags.servers,
                ClientsFile(flags.clients_file) if flags.clients_file else None,
            ),
            servers=servers,
            store=ArtifactStore(self._bucket),
            on_change=self._work.set,
            trust=TrustedKeys(flags.trusted_keys) if flags.trusted_keys else None,
        )
        self._readiness = Readiness(flags.layout.state, flags.envoy_admin, self._host)
        self._recording = Recording(self._bucket, self._requests, self._shadow, self._host.records)
        self._replayer = Replayer(
            self._bucket, flags.host, self._shadow, flags.layout.state, self._stop
        )
        meter = Meter(_edge_metrics(flags), flags.layout.state / "traffic")
        self._watching = Watching(meter, self._shadow, servers)
        self._logs: dict[str, ReleaseLog] = {}
        self._beat = 0
        self._lease = Lease(self._bucket, f"{flags.host}-{uuid.uuid4().hex[:8]}", flags.lease_ttl)
        self._controller = Controller(
            self._bucket,
            flags.host,
            self._lease,
            silent_after=flags.silent_after,
            on_event=self._learn,
        )
        self._survey = Survey(self._bucket)
        self._store_reached = time.monotonic()
        self._aliases = AliasMirror(flags.tracking_uri) if flags.tracking_uri else None

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            UnavailableError: The local API's port is taken.
            BadDefinitionError: Others can reach the models, and it cannot be helped from here.
        """
        clear_incoming(self.flags.layout)
        self._close_models()
        self._open_local_api()
        # Before anything is asked of the network: routes as they were, from disk.
        self._host.reconcile()
        loops = [
            self._loop("log", self._read_log, self._look, self.flags.poll),
            self._loop("report", self._report_status, self._report, _BEAT_SECONDS),
            self._loop("meter", self._count, None, _METER_SECONDS),
            self._loop("recording", self._recording.tick, None, _RECORD_SECONDS),
            self._loop("replay", self._replayer.tick, None, _RECORD_SECONDS),
            self._loop("survey", self._look_around, None, _SURVEY_SECONDS),
            self._loop("controller", self._control, None, self.flags.poll),
        ]
        if self._aliases:
            self._aliases.start()
        for loop in loops:
            loop.start()
        self._loop("host", self._reconcile, self._work, self.flags.poll).run()
        self._shadow.close()
        self._recording.close()
        self._give_back_lease(loops[-1])

    def stop(self) -> None:
        """End :meth:`run`."""
        self._stop.set()
        for event in (self._work, self._report, self._look):
            event.set()

    # --- The loops ----------------------------------------------------------------------------

    def _loop(
        self, name: str, work: Callable[[], None], wake: threading.Event | None, seconds: float
    ) -> threading.Thread:
        return threading.Thread(
            target=self._repeat,
            args=(name, work, wake or self._stop, seconds),
            name=name,
            daemon=True,
        )

    def _repeat(
        self, name: str, work: Callable[[], None], wake: threading.Event, seconds: float
    ) -> None:
        complaint = ""
        while not self._stop.is_set():
            if wake is not self._stop:
                wake.clear()
            try:
                work()
                if complaint:
                    _log.info("%s: goes on", name)
                complaint = ""
            except (NightshiftError, OSError) as error:
                if str(error) != complaint:
                    complaint = str(error)
                    _log.warning("%s: waits: %s", name, complaint)
            except Exception:
                _log.exception("%s: unforeseen; tried again", name)
            wake.wait(seconds)

    def _reconcile(self) -> None:
        before = self._host.statuses()
        turned = self._readiness.look()
        self._host.reconcile()
        if turned or self._host.statuses() != before:
            self._report.set()

    def _read_log(self) -> None:
        drains = read_wishes(self._bucket).drains(self.flags.host)
        if drains:
            self._readiness.drain()
        for name in pipelines(self._bucket):
            self._host.learn(self._log_of(name).record())
        if not drains:
            self._readiness.undrain()
        self._store_reached = time.monotonic()
        for rollback in self._host.pending():
            self._settle(rollback)

    def _settle(self, rollback: PendingRollback) -> None:
        log = self._log_of(rollback.record.pipeline)
        try:
            record = reconcile_rollback(log, rollback, self.flags.host)
        except UnavailableError:
            raise
        except RefusedError as error:
            _log.error("local roll-back is given up, the log refuses it: %s", error.message)
            record = log.record()
        self._host.settle(log.pipeline, record)

    def _report_status(self) -> None:
        self._beat += 1
        status = HostStatus(
            host=self.flags.host,
            beat=self._beat,
            at=datetime.now(UTC),
            draining=self._readiness.draining,
            pipelines=self._watching.reported(self._host.statuses()),
        )
        write_status(self._bucket, status)

    def _count(self) -> None:
        if self._watching.look(self._host.records().values()):
            self._report.set()

    def _look_around(self) -> None:
        self._survey.look(self._host.records(), leads=self._lease.held)

    def _seen(self) -> Seen:
        return Seen(
            host=self.flags.host,
            records=self._host.records(),
            statuses=self._watching.reported(self._host.statuses()),
            leads=self._lease.held,
            draining=self._readiness.draining,
            store_silent_seconds=time.monotonic() - self._store_reached,
            findings=self._survey.findings,
            copies=self._shadow.recorder.counts,
            kept=self._requests.counts,
        )

    def _control(self) -> None:
        records = self._controller.tick()
        if self._aliases is None:
            return
        if records is None:
            self._aliases.forget()
        else:
            self._aliases.show(records)

    def _learn(self, event: Event) -> None:
        self._host.learn(event.record)

    # --- Beginning and end --------------------------------------------------------------------

    def _close_models(self) -> None:
        """Models lie here plain. To refuse costs no request: servers and Envoy go on meanwhile."""
        models = self.flags.layout.models
        try:
            models.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = close_to_others(models)
        except OSError as error:
            raise BadDefinitionError(
                f"Others can reach the models in {models}, and this user cannot change that "
                f"({error.strerror}: {error.filename}). The folder and all in it must belong to "
                "the agent's user: chown -R it."
            ) from error
        if found:
            _log.warning("others could reach %s (%s of its files); closed", models, len(found))

    def _open_local_api(self) -> None:
        if self.flags.port is None:
            return
        address = (self.flags.listen, self.flags.port)
        metrics = AgentMetrics(self._seen)
        try:
            serve_local_api(
                self._host, address, self.flags.token, metrics, self.flags.metrics_token
            )
        except OSError as error:
            raise UnavailableError(
                f"Cannot listen on {address[0]}:{address[1]}: {error.strerror}. Stop what "
                "listens there, or choose another --port."
            ) from error

    def _give_back_lease(self, controller: threading.Thread) -> None:
        controller.join(_GIVE_BACK_SECONDS)
        if controller.is_alive():
            return

        def give_back() -> None:
            try:
                self._lease.release()
            except NightshiftError as error:
                _log.info("the lease runs out by itself: %s", error.message)

        last = threading.Thread(target=give_back, daemon=True)
        last.start()
        last.join(_GIVE_BACK_SECONDS)

    def _log_of(self, pipeline: str) -> ReleaseLog:
        return self._logs.setdefault(pipeline, ReleaseLog(self._bucket, pipeline))


def _edge_metrics(flags: AgentFlags) -> EdgeMetrics:
    if flags.prometheus:
        return PrometheusMetrics(flags.prometheus, flags.prometheus_matching)
    return EnvoyMetrics(flags.envoy_admin)


def main(arguments: Sequence[str]) -> int:
    """Run an agent.

    Returns:
        0 after SIGTERM or SIGINT; 1 where it could not start, with one line on stderr.
    """
    flags = parse_flags(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    agent = Agent(flags)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: agent.stop())
    try:
        agent.run()
    except NightshiftError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    # Not sys.exit: a thread that waits for a hanging object store must not hold up the end.
    os._exit(code)
