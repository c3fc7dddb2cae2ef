"""Kill processes at random while nights are trained and go live: what breaks, and for whom?

``benchmarks/random_kills [MINUTES [SEED]]`` (30, 1): a stack of its own, and a second serving host
on the same release log. Night after night of ``flights`` is trained, released in steps, and every
third version left again by hand. Meanwhile one process at a time gets SIGKILL: agent, Envoy or a
model server of either host, SeaweedFS, Airflow's scheduler or triggerer, or a task's worker; the
next one when it is back: of a model server, when its agent has verified its versions again. A task
that used up its retries is cleared, as on-call would. A release may well be stopped: a candidate
whose server dies under it answers nothing. Then the next night follows.

Clients ask each host ten times a second; where one does not answer they ask the other, as a load
balancer would. Printed are what was killed, what each client saw, and what is broken:

- an event of the release log that is not what the machine makes of the one before, that is missing,
  or that is not what somebody read before;
- two MLflow runs or two versions of one night;
- a request that failed though nothing that serves that host was down, or that no host answered;
- a process whose successor does not work after three minutes.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from tests.integration.night.conftest import PIPELINE, Stack, running_stack
from tests.integration.release.rig import Machine, Rig
from tests.integration.servers import ServerProcess, wait_until

from nightshift.command.demo import FLIGHT
from nightshift.errors import NightshiftError, RefusedError, UnavailableError
from nightshift.release import requests
from nightshift.release.event import Event
from nightshift.release.log import ReleaseLog
from nightshift.release.projection import apply
from nightshift.release.record import Colour, Phase, ReleaseRecord
from nightshift.release.status import SlotState
from nightshift.stack.airflow_api import DagRun, RunState
from nightshift.stack.doors import serving_client, trusted_keys
from nightshift.stack.environment import s3_environment
from nightshift.stack.settings import HOME
from nightshift.storage.s3 import Bucket, artifact_bucket

FIRST_NIGHT = date(2013, 9, 1)
HOSTS = ("local", "two")
PATIENCE = 180.0
"""Longest wait for a killed process to be back."""
NOTICED = 3.0
"""Seconds in which an agent finds its server dead, and says so."""
AFTERMATH = 1.0
"""Seconds after a process is back in which a connection of before may still end in an error."""


class StackStore:
    """The stack's object store, in the shape that the rig takes."""

    def __init__(self, stack: Stack) -> None:
        self.environment = s3_environment(stack.settings)
        self.artifacts: Bucket = artifact_bucket()


# --- What is killed ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Victim:
    """One kind of process.

    Attributes:
        name: For the table.
        kill: Kills it; False where there is none at the moment.
        is_back: Whether its successor works.
        serves: The host whose clients it serves; None where it serves none.
    """

    name: str
    kill: Callable[[], bool]
    is_back: Callable[[], bool]
    serves: int | None = None


def of_stack(stack: Stack, name: str, *words: str, serves: int | None = None) -> Victim:
    """A supervised process of the stack: its supervisor starts it again."""
    killed: set[int] = set()

    def kill() -> bool:
        found = stack.processes(*words)
        for process in found:
            killed.add(process.pid)
            process.kill()
        return bool(found)

    def is_back() -> bool:
        return bool({p.pid for p in stack.processes(*words)} - killed)

    return Victim(name, kill, is_back, serves)


def of_second(name: str, process: ServerProcess, serves: int | None = None) -> Victim:
    """A process of the second host, started again by the benchmark, its supervisor."""

    def kill() -> bool:
        process.kill()
        return True

    def is_back() -> bool:
        if not process.running:
            process.start()
        return True

    return Victim(name, kill, is_back, serves)


def worker(stack: Stack) -> Victim:
    """The process of Airflow that runs a task, with the step in it; a retry is its successor."""

    def kill() -> bool:
        for step in stack.processes("nightshift.steps"):
            parents = step.parents()[:2]
            if len(parents) == 2:
                parents[1].kill()
                return True
        return False

    return Victim("worker", kill, lambda: True)


def victims(stack: Stack, second: Rig) -> list[Victim]:
    """Everything that may die."""
    green = "data/serving/green/models.config"
    blue = "data/serving/blue/models.config"
    machine = second.machine
    return [
        of_stack(stack, "agent", "nightshift.release.agent"),
        of_stack(stack, "Envoy", "bin/envoy", "--config-path", serves=0),
        of_stack(stack, "model server blue", "nightshift.serving.server", blue, serves=0),
        of_stack(stack, "model server green", "nightshift.serving.server", green, serves=0),
        of_stack(stack, "SeaweedFS", "weed", "mini"),
        of_stack(stack, "scheduler", "airflow", "scheduler"),
        of_stack(stack, "triggerer", "airflow", "triggerer"),
        worker(stack),
        of_second("agent of host two", second.agent),
        of_second("Envoy of host two", machine.envoy, serves=1),
        *(
            of_second(f"model server {colour} of host two", server, serves=1)
            for colour, server in machine.servers.items()
        ),
    ]


# --- Who watches ------------------------------------------------------------------------------


@dataclass
class Clients:
    """Asks both hosts; notes every failure with its moment."""

    sessions: tuple[httpx.Client, httpx.Client]
    asked: Counter[int] = field(default_factory=Counter)
    failed: list[tuple[int, float, str]] = field(default_factory=list)
    """Host, moment, problem."""
    let_down: list[str] = field(default_factory=list)
    """Requests that no host answered."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, first: int) -> None:
        """Prefer one host, until told to stop."""
        while not self.stop.wait(0.1):
            if all(self._problem(host) for host in (first, 1 - first)):
                self.let_down.append(f"{time.strftime('%H:%M:%S')}: neither host answered")

    def _problem(self, host: int) -> str:
        began = time.time()
        try:
            answer = self.sessions[host].post(
                f"/v1/models/{PIPELINE}:predict", json={"instances": [FLIGHT]}
            )
            problem = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text}"
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__} {error}"
        self.asked[host] += 1
        if problem:
            self.failed.append((host, began, problem[:160]))
        return problem


@dataclass
class Reader:
    """Reads the log as it grows; says where an event is no longer what it was."""

    bucket: Bucket
    seen: dict[int, Event] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until told to stop."""
        while not self.stop.wait(1.0):
            try:
                for event in ReleaseLog(self.bucket, PIPELINE).events(len(self.seen) + 1):
                    self.seen[event.number] = event
            except UnavailableError:
                continue

    def broken(self) -> list[str]:
        """What is wrong with the log as it is now."""
        found, record = [], ReleaseRecord(pipeline=PIPELINE)
        events = {event.number: event for event in ReleaseLog(self.bucket, PIPELINE).events()}
        for number in range(1, max(events, default=0) + 1):
            event = events.get(number)
            if event is None:
                found.append(f"event {number} is missing")
                continue
            if apply(record, event.change, number=number, at=event.at) != event.record:
                found.append(f"event {number} is not what the machine makes of the one before")
            record = event.record
        found += [
            f"event {n} was lost or changed" for n, e in self.seen.items() if events.get(n) != e
        ]
        return found


def doubled(stack: Stack) -> list[str]:
    """Nights with more than one MLflow run, or more than one version."""
    from mlflow import MlflowClient

    address = f"http://127.0.0.1:{stack.settings.ports.mlflow}"
    client = MlflowClient(address, address)
    experiment = client.get_experiment_by_name(PIPELINE)
    assert experiment
    found = []
    for what, tagged in (
        ("runs", [r.data.tags for r in client.search_runs([experiment.experiment_id])]),
        ("versions", [v.tags for v in client.search_model_versions(f"name='{PIPELINE}'")]),
    ):
        nights = Counter(tags["nightshift.night"] for tags in tagged)
        found += [f"{n} {what} of {night}" for night, n in nights.items() if n > 1]
    return found


# --- What goes on meanwhile -------------------------------------------------------------------


@dataclass
class Nights:
    """Trains and releases night after night; every third version is left again."""

    stack: Stack
    ended: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    """Releases that ended without their version live, and why."""
    cleared: int = 0
    rolled_back: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until told to stop; the night under way is finished."""
        night = FIRST_NIGHT
        while not self.stop.is_set():
            run = self._patiently(self.stack.start_night, night.isoformat())
            self._finish(run)
            release = self._patiently(self._release_of, run)
            if release:
                self._finish(release, is_over=self._was_stopped)
            self.ended.append(night.isoformat())
            if len(self.ended) % 3 == 0:
                self._roll_back()
            night += timedelta(days=1)

    def _finish(self, run: DagRun, is_over: Callable[[DagRun], bool] = lambda run: False) -> None:
        """Wait for a run to become green, clearing what failed, unless clearing cannot help."""
        while True:
            run = self._patiently(self.stack.api.run, run.dag_id, run.run_id)
            if run.state is RunState.SUCCESS:
                return
            if run.state is RunState.FAILED:
                if is_over(run):
                    return
                self.cleared += 1
                self._patiently(lambda run=run: self.stack.api.clear(run, only_failed=True))
            time.sleep(1)

    def _was_stopped(self, run: DagRun) -> bool:
        """Whether a release was: it stays red, however often it is cleared."""
        record: ReleaseRecord = self._patiently(lambda: self.stack.record)
        asked = record.request
        mine = asked is not None and run.run_id in asked.by
        if mine and record.phase in (Phase.ABORTED, Phase.ROLLED_BACK):
            self.stopped.append(record.verdict)
            return True
        return False

    def _release_of(self, run: DagRun) -> DagRun | None:
        started = self.stack.api.runs_started_by(run, f"release_{PIPELINE}")
        return started[0] if started else None

    def _roll_back(self) -> None:
        try:
            self._patiently(
                lambda: requests.rollback(
                    self.stack.bucket, PIPELINE, by="on-call", reason="random kills"
                )
            )
            self.rolled_back += 1
        except RefusedError as error:
            print(f"roll-back: {error.message}", file=sys.stderr, flush=True)

    def _patiently(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Again where a server is away at the moment."""
        while True:
            try:
                return call(*arguments)
            except RefusedError:
                raise
            except (NightshiftError, httpx.HTTPError):
                time.sleep(1)


@dataclass
class Deaths:
    """What was killed, from when to when it was away."""

    rows: list[tuple[Victim, float, float]] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    """Whose successor did not work in time, and what its host said of itself."""

    def one(
        self, victim: Victim, works: Callable[[Victim], bool], state: Callable[[Victim], str]
    ) -> None:
        """Kill it and wait until its successor works."""
        began = time.time()
        if not victim.kill():
            return
        print(f"{time.strftime('%H:%M:%S')} killed {victim.name}", file=sys.stderr, flush=True)
        if victim.serves is not None:
            time.sleep(NOTICED)
        try:
            wait_until(
                lambda: victim.is_back() and works(victim), seconds=PATIENCE, what=victim.name
            )
        except AssertionError as error:
            self.stuck.append(f"{time.strftime('%H:%M:%S')}: {error}: {state(victim)}")
            print(self.stuck[-1], file=sys.stderr, flush=True)
        self.rows.append((victim, began, time.time()))

    def excuse(self, host: int, moment: float) -> bool:
        """Whether something that serves a host was away at a moment."""
        return any(
            victim.serves == host and began - AFTERMATH <= moment <= back + AFTERMATH
            for victim, began, back in self.rows
        )


@contextmanager
def second_host(stack: Stack, folder: Path) -> Iterator[Rig]:
    """A host more on the stack's release log."""
    machine = Machine(folder / "machine")
    trust = (f"--trusted-keys={trusted_keys(stack.settings)}",)
    rig = Rig(machine, folder / "agent", StackStore(stack), folder, "two", flags=trust)  # type: ignore[arg-type]
    for process in (rig.agent, machine.envoy, *machine.servers.values()):
        # By this the stack's own processes are told: these are none of them.
        process.environment[HOME] = str(folder)
    try:
        machine.start()
        with rig.agent:
            yield rig
    finally:
        machine.stop()


@contextmanager
def threads(*work: Callable[[], None]) -> Iterator[list[threading.Thread]]:
    """Run these side by side; the block tells them when to stop."""
    running = [threading.Thread(target=each, daemon=True) for each in work]
    for thread in running:
        thread.start()
    yield running
    for thread in running:
        thread.join()


def main(minutes: float, seed: int) -> int:
    """Everything; 1 where anything is broken."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with (
            running_stack(folder / "stack", {}) as stack,
            second_host(stack, folder / "two") as second,
            serving_client(stack.settings) as one,
            httpx.Client(base_url=f"http://{second.machine.layout.rest}", trust_env=False) as two,
        ):
            stack.green_night("2013-08-31")
            url = f"/v1/models/{PIPELINE}:predict"
            wait_until(
                lambda: two.post(url, json={"instances": [FLIGHT]}).status_code == 200,
                seconds=60,
                what="host two answers",
            )
            sessions = (one, two)
            clients, reader, nights = Clients(sessions), Reader(stack.bucket), Nights(stack)
            deaths, until = Deaths(), time.time() + 60 * minutes

            def works(victim: Victim) -> bool:
                if victim.serves is None:
                    return True
                try:
                    asked = sessions[victim.serves].post(url, json={"instances": [FLIGHT]})
                    # One answer may be the other colour's; its agent looks at both.
                    return asked.status_code == 200 and serves_again(stack, HOSTS[victim.serves])
                except (httpx.HTTPError, UnavailableError):
                    return False

            def state(victim: Victim) -> str:
                answer: object = "not asked"
                if victim.serves is not None:
                    try:
                        answer = sessions[victim.serves].post(url, json={"instances": [FLIGHT]})
                    except httpx.HTTPError as error:
                        answer = repr(error)
                statuses = [status.model_dump_json() for status in requests.hosts(stack.bucket)]
                return "\n".join([str(answer), stack.record.model_dump_json(), *statuses])

            watching = (lambda: clients.run(0), lambda: clients.run(1), reader.run, nights.run)
            with threads(*watching) as running:
                candidates = victims(stack, second)
                while time.time() < until:
                    deaths.one(chance.choice(candidates), works, state)
                    time.sleep(chance.uniform(5, 15))
                print("the last night ends", file=sys.stderr, flush=True)
                nights.stop.set()
                running[-1].join()
                for each in (clients.stop, reader.stop):
                    each.set()
            return report(stack, clients, reader, nights, deaths)


def serves_again(stack: Stack, host: str) -> bool:
    """Whether a host's agent has verified, in a report of its own time, all that it should hold."""
    found = {status.host: status for status in requests.hosts(stack.bucket)}
    pipeline = found[host].pipelines[PIPELINE]
    return all(
        pipeline.slot(colour).state in (SlotState.VERIFIED, SlotState.EMPTY) for colour in Colour
    )


def report(stack: Stack, clients: Clients, reader: Reader, nights: Nights, deaths: Deaths) -> int:
    """Both tables, then what is broken."""
    print("| killed | times | longest away, s |\n|---|---|---|")
    for name in sorted({victim.name for victim, _, _ in deaths.rows}):
        away = [back - began for victim, began, back in deaths.rows if victim.name == name]
        print(f"| {name} | {len(away)} | {max(away):.1f} |")
    print("\n| host | asked | failed | with nothing of it down |\n|---|---|---|---|")
    unexcused = [row for row in clients.failed if not deaths.excuse(row[0], row[1])]
    for host, name in enumerate(("one", "two")):
        failed = sum(row[0] == host for row in clients.failed)
        without = sum(row[0] == host for row in unexcused)
        print(f"| {name} | {clients.asked[host]:,} | {failed} | {without} |")
    broken = [
        *reader.broken(),
        *doubled(stack),
        *clients.let_down,
        *deaths.stuck,
        *(f"{time.ctime(at)}: host {host + 1}: {problem}" for host, at, problem in unexcused),
    ]
    print(
        f"\n{len(nights.ended)} nights green, {len(nights.stopped)} releases stopped, "
        f"{nights.cleared} runs cleared, {nights.rolled_back} rolled back, "
        f"{len(reader.seen)} events; {len(broken)} things broken"
    )
    for verdict in nights.stopped:
        print(f"- stopped: {verdict}")
    for line in broken:
        print(f"- {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(float(given[0]) if given else 30, int(given[1]) if len(given) > 1 else 1))
