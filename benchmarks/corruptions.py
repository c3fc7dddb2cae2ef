"""Every kind of corruption on real nights, judged by the real snapshot, statistics, expectations.

First undisturbed nights in a row, each after the release of the night before: whatever is said of
them is listed. Then some of these nights again, once for each kind, their newest day spoilt. A kind
is caught on a night where a step stops it, or warns of something that it did not say of the same
night undisturbed. Steps run in two processes that stay, one for each runtime.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from tests.corruptions.cases import CASES, Case
from tests.corruptions.kinds import Day
from tests.integration.pipeline_lake import PipelineLake
from tests.integration.servers import S3, SeaweedServer, make_buckets

from nightshift.definition.load import load_pipeline
from nightshift.runtimes import Runtime, python_of
from nightshift.steps.contract import StepRequest, StepResult
from nightshift.steps.run import execute

NIGHTS = {
    "flights": (date(2013, 10, 2), date(2013, 11, 30)),
    "fashion": (date(2024, 1, 15), date(2024, 2, 29)),
    "employment": (date(2016, 12, 31), date(2018, 12, 31)),
}
"""First and last undisturbed night of each pipeline."""
_NUMBERS = re.compile(r"[0-9][0-9.,%]*")


@dataclass
class Judged:
    """What the three steps said of one night.

    Attributes:
        results: Step to its result.
    """

    results: dict[str, StepResult] = field(default_factory=dict)

    @property
    def stopped_by(self) -> list[str]:
        """The steps that ended with an error."""
        return [name for name, result in self.results.items() if result.error]

    @property
    def warnings(self) -> list[str]:
        """What was said and stopped nothing; a stopped night's too."""
        said = []
        for result in self.results.values():
            facts = result.error.facts if result.error else result.facts
            said += facts.get("warnings", [])
        return said

    @property
    def errors(self) -> list[str]:
        """The first line of each error."""
        return [r.error.message.splitlines()[0] for r in self.results.values() if r.error]


class Statistics:
    """The statistics step in a process of its runtime that stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [python_of(Runtime.VALIDATION), Path(__file__).with_name("step_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, request: StepRequest) -> None:
        """Hand a request over."""
        self._count += 1
        path = self._folder / f"{self._count}.json"
        path.write_text(request.model_dump_json())
        assert self._process.stdin
        print(path, file=self._process.stdin, flush=True)

    def end(self) -> StepResult:
        """The result of the request handed over."""
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "the statistics process died"
        return StepResult.model_validate_json(Path(line).read_bytes())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass
class Bench:
    """One pipeline's lake and the process that counts."""

    lake: PipelineLake
    statistics: Statistics
    seed: int

    def judge(self, night: date) -> Judged:
        """The three steps over what the lake holds now."""
        snapshot = self.lake.snapshot_of(night)
        judged = Judged({"snapshot": snapshot})
        if snapshot.error:
            return judged
        self.statistics.begin(self.lake.plan_night(night, "statistics", snapshot=snapshot))
        request = self.lake.plan_night(night, "expectations", snapshot=snapshot)
        judged.results["expectations"] = execute(request, self.lake.store)
        judged.results["statistics"] = self.statistics.end()
        return judged

    def spoilt(self, night: date, case: Case) -> Judged:
        """The night with its newest day corrupted; the seed makes the same one each time."""
        tables = self.lake.tables
        before = tables[max(day for day in tables if day < night)]
        rng = np.random.default_rng([self.seed, night.toordinal()])
        file = case.spoil(Day(night, tables[night], before), case.strength, rng)
        with self.lake.holding(night, file):
            return self.judge(night)


def main() -> None:
    """Run the pipelines, print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pipelines", nargs="*", default=[*CASES], metavar="PIPELINE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clean", type=int, default=60, help="undisturbed nights in a row")
    parser.add_argument("--nights", type=int, default=4, help="nights that each kind is tried on")
    parser.add_argument("--kind", default="", help="only kinds with these words")
    arguments = parser.parse_args()
    for pipeline in arguments.pipelines:
        started = time.monotonic()
        with _bench(pipeline, arguments.seed) as bench:
            _run(bench, arguments.clean, arguments.nights, arguments.kind)
        print(f"\n{pipeline}: {time.monotonic() - started:.0f} s", flush=True)


@contextmanager
def _bench(pipeline: str, seed: int) -> Iterator[Bench]:
    definition = load_pipeline(pipeline)
    first, last = NIGHTS[pipeline]
    first -= timedelta(definition.window.days)
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-corruptions-") as scratch,
        SeaweedServer(Path(scratch) / "s3").start() as server,
    ):
        s3 = S3(server.ready(), "artifacts", "lake")
        make_buckets(server.client_environment, "artifacts", "lake")
        os.environ.update(s3.environment)
        statistics = Statistics(Path(scratch))
        try:
            yield Bench(PipelineLake(s3, definition, first, last), statistics, seed)
        finally:
            statistics.close()


def _run(bench: Bench, clean: int, tried: int, words: str) -> None:
    pipeline = bench.lake.definition.pipeline
    first, _ = NIGHTS[pipeline]
    days = sorted(day for day in bench.lake.tables if day >= first)[-clean:]
    spoilt_on = set(days[:: max(len(days) // tried, 1)][-tried:])
    cases = [case for case in CASES[pipeline] if words in case.kind]
    outcomes: dict[str, list[str]] = {case.kind: [] for case in cases}
    print(f"\n## {pipeline}: {len(days)} undisturbed nights, {days[0]} to {days[-1]}\n", flush=True)
    alarms: dict[str, list[date]] = {}
    for night in days:
        usual = bench.judge(night)
        for said in [*(f"STOPPED: {error}" for error in usual.errors), *usual.warnings]:
            alarms.setdefault(said, []).append(night)
        if night in spoilt_on:
            for case in cases:
                outcomes[case.kind].append(_outcome(bench.spoilt(night, case), usual))
        if not usual.errors:
            bench.lake.drop_release_log()
            lineage = {n: usual.results[n] for n in ("snapshot", "statistics", "expectations")}
            bench.lake.release(night, **lineage)
    _print_alarms(alarms)
    _print_outcomes(cases, outcomes, sorted(spoilt_on & set(days)))


def _outcome(spoilt: Judged, usual: Judged) -> str:
    """How it was caught: the steps that stopped it, else "warning", else "missed"."""
    if spoilt.stopped_by:
        return " + ".join(sorted(spoilt.stopped_by))
    known = {_NUMBERS.sub("#", warning) for warning in usual.warnings}
    new = [w for w in spoilt.warnings if _NUMBERS.sub("#", w) not in known]
    return "warning" if new else "missed"


def _print_alarms(alarms: dict[str, list[date]]) -> None:
    """Everything said of undisturbed nights; what differs in numbers and dates alone together."""
    together: dict[str, list[tuple[date, str]]] = {}
    for said, nights in alarms.items():
        together.setdefault(_NUMBERS.sub("#", said), []).extend((night, said) for night in nights)
    for told in together.values():
        first, last = min(told), max(told)
        print(f"- {len(told)} night(s), {first[0]} to {last[0]}; the last: {last[1]}")
    quiet = {night for nights in alarms.values() for night in nights}
    print(f"\nNights with something said: {len(quiet)}\n", flush=True)


def _print_outcomes(
    cases: Sequence[Case], outcomes: dict[str, list[str]], nights: Sequence[date]
) -> None:
    print(f"Spoilt nights: {', '.join(str(night) for night in nights)}\n")
    print("| kind | strength | caught | stopped | by |\n|---|---|---|---|---|")
    for case in cases:
        of = outcomes[case.kind]
        caught = sum(o != "missed" for o in of)
        stopped = sum(o not in ("missed", "warning") for o in of)
        by = ", ".join(sorted({o for o in of if o != "missed"}))
        print(f"| {case.kind} | {case.shown} | {caught} of {len(of)} | {stopped} | {by} |")
    missed = [kind for kind, of in outcomes.items() if "missed" in of]
    print(f"\n{len(cases) - len(missed)} of {len(cases)} kinds caught on every night", flush=True)


if __name__ == "__main__":
    main()
