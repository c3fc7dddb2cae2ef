"""``retrain``: one night through Airflow, its release too, shown live."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nightshift.command.display import console, span, watch
from nightshift.command.release_panel import release_line, release_panel
from nightshift.command.releases import require_pipeline, stack_bucket
from nightshift.definition.gates import Metric
from nightshift.definition.load import load_pipeline
from nightshift.errors import GateFailedError, NightshiftError, UnavailableError
from nightshift.release import requests
from nightshift.release.view import ReleaseView, view
from nightshift.stack.airflow_api import AirflowApi, DagRun, RunState, TaskRun
from nightshift.stack.settings import StackSettings, current_settings
from nightshift.storage.s3 import Bucket

STEPS = ("snapshot", "statistics", "expectations", "train", "evaluate", "gate")
TASKS = (*STEPS, "approve", "register", "card")
RELEASE_TASKS = ("request", "watch", "answer")
_DAG_SECONDS = 90.0
_RELEASE_STARTS_SECONDS = 60.0
_POLL_SECONDS = 0.7
_LOG_LINES = 15
_MARKS = {
    "success": ("✓", "green"),
    "failed": ("✗", "red"),
    "upstream_failed": ("✗", "red"),
    "skipped": ("-", "dim"),
    "up_for_retry": ("↻", "yellow"),
    "deferred": ("…", "cyan"),
    "awaiting_input": ("?", "yellow"),
}


@dataclass
class NightView:
    """What is known of one night's runs; written by the watcher, read by the display."""

    night: date
    tasks: dict[str, TaskRun | None] = field(
        default_factory=lambda: dict.fromkeys((*TASKS, *(f"release.{t}" for t in RELEASE_TASKS)))
    )
    began: float = field(default_factory=time.monotonic)
    _told: set[str] = field(default_factory=set)
    release: ReleaseView | None = None
    """The release that the night started, while its requests are judged."""
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    def update(self, tasks: list[TaskRun], prefix: str = "") -> None:
        """Take over what Airflow says of these tasks."""
        for task in tasks:
            self.tasks[prefix + task.name] = task

    def render(self) -> RenderableType:
        """Every task with its state and time."""
        table = Table.grid(padding=(0, 2))
        table.add_row("", Text(f"night {self.night}", style="bold"), "", "")
        for name, task in self.tasks.items():
            state = (task.state if task else None) or ""
            mark: RenderableType
            if state in ("running", "restarting"):
                mark = self._spinner
            else:
                sign, style = _MARKS.get(state, ("·", "dim"))
                mark = Text(sign, style=style)
            seconds = span(task.seconds) if task and task.seconds else ""
            attempt = f"attempt {task.attempt}" if task and task.attempt > 1 else ""
            table.add_row(mark, name, Text(seconds, style="dim"), Text(attempt, style="yellow"))
        if self.release is None or not self.release.record.phase.under_way:
            return table
        return Group(table, release_panel(self.release))

    def lines(self) -> list[str]:
        """Tasks that have ended since the last call."""
        ended = {
            f"{name}#{task.attempt}#{task.state == 'awaiting_input'}": (name, task)
            for name, task in self.tasks.items()
            if task
            and task.state in ("success", "failed", "skipped", "up_for_retry", "awaiting_input")
        }
        new = [key for key in ended if key not in self._told]
        self._told.update(new)
        return [
            f"  {self.night}  {_MARKS[str(ended[k][1].state)][0]} {ended[k][0]:<16} "
            f"{span(ended[k][1].seconds)}"
            for k in new
        ] + self._release_lines()

    def _release_lines(self) -> list[str]:
        line = f"  {release_line(self.release.record)}" if self.release else ""
        if not line or line in self._told:
            return []
        self._told.add(line)
        return [line]


@dataclass(frozen=True)
class NightResult:
    """How one night ended."""

    night: date
    version: int
    metric: Metric
    """The pipeline's main metric."""
    candidate: float | None
    champion: float | None
    """None where there was no champion yet."""
    verdict: str
    seconds: float
    """The retraining run, from its start to its end."""
    reused: bool
    """Every step found its artifact committed before."""


def retrain(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline's folder.")],
    night: Annotated[
        datetime,
        typer.Option(formats=["%Y-%m-%d"], help="Last day of the data window."),
    ],
    force: Annotated[
        bool,
        typer.Option(help="Make every artifact again: for a night whose data was repaired."),
    ] = False,
) -> None:
    """Retrain one night through Airflow and release what passes its gate. The stack must be up.

    What an earlier run of the night committed is reused: asking twice costs seconds.

    Examples:

      ./nightshift retrain flights --night 2013-08-31

      ./nightshift retrain flights --night 2013-08-31 --force
    """
    require_pipeline(pipeline)
    settings = current_settings()
    result = run_night(settings, pipeline, night.date(), force=force)
    console.print(night_table([result]))


def run_night(
    settings: StackSettings, pipeline: str, night: date, *, force: bool = False
) -> NightResult:
    """Trigger a night, wait for it and for the release that it starts, show both live.

    Raises:
        GateFailedError: The gate stopped the night; the champion goes on serving.
        NightshiftError: A task failed; the message says which and why.
    """
    with AirflowApi(settings) as airflow:
        retrain_dag, release_dag = f"retrain_{pipeline}", f"release_{pipeline}"
        for dag in (retrain_dag, release_dag):
            airflow.wait_for_dag(dag, _DAG_SECONDS)
            airflow.unpause(dag)
        run = airflow.trigger(retrain_dag, {"night": night.isoformat(), "force": force})
        shown = NightView(night)
        watcher = _Watcher(airflow, shown, stack_bucket(settings), pipeline)
        ended = watch(lambda: watcher.wait(run), shown.render, shown.lines)
        if ended.state is RunState.FAILED:
            raise _failure(airflow, ended, settings)
        return _result(airflow, ended, settings, pipeline, night)


def night_table(results: list[NightResult]) -> Table:
    """Nights of one pipeline, as the demo ends."""
    table = Table(title=None, header_style="bold")
    metric = results[0].metric.display_name
    names = ("night", "version", f"{metric} candidate", f"{metric} champion", "verdict", "seconds")
    for column in names:
        table.add_column(column, justify="right" if column != "verdict" else "left")
    for result in results:
        table.add_row(
            result.night.isoformat(),
            str(result.version),
            _shown(result.candidate),
            _shown(result.champion),
            Text(result.verdict, style="green" if result.verdict.startswith("live") else ""),
            f"{result.seconds:.0f}" + (" (reused)" if result.reused else ""),
        )
    return table


class _Watcher:
    """Follows a night: its own run first, then the release that its registration starts."""

    def __init__(self, airflow: AirflowApi, view: NightView, bucket: Bucket, pipeline: str) -> None:
        self._airflow = airflow
        self._view = view
        self._bucket = bucket
        self._pipeline = pipeline

    def wait(self, run: DagRun) -> DagRun:
        """The retraining run if all went well or it failed, else the failed release run."""
        ended = self._follow(run, "")
        if ended.state is RunState.FAILED or not self._airflow.announced(ended):
            return ended
        release = self._wait_for_release(ended)
        done = self._follow(release, "release.")
        return done if done.state is RunState.FAILED else ended

    def _follow(self, run: DagRun, prefix: str) -> DagRun:
        while True:
            now = self._airflow.run(run.dag_id, run.run_id)
            self._view.update(self._airflow.tasks(now), prefix)
            if prefix:
                record = requests.record(self._bucket, self._pipeline)
                self._view.release = view(self._bucket, record)
            if now.state.ended:
                return now
            time.sleep(_POLL_SECONDS)

    def _wait_for_release(self, run: DagRun) -> DagRun:
        dag_id = run.dag_id.replace("retrain_", "release_", 1)
        deadline = time.monotonic() + _RELEASE_STARTS_SECONDS
        while time.monotonic() < deadline:
            if started := self._airflow.runs_started_by(run, dag_id):
                return started[-1]
            time.sleep(_POLL_SECONDS)
        raise UnavailableError(
            f"{run.dag_id} has registered a version, but no run of {dag_id} has started within "
            f"{_RELEASE_STARTS_SECONDS:g} s. See './nightshift logs airflow-scheduler'."
        )


def _failure(airflow: AirflowApi, run: DagRun, settings: StackSettings) -> NightshiftError:
    tasks = airflow.tasks(run)
    failed = next((task for task in tasks if task.state == "failed"), None)
    page = f"http://127.0.0.1:{settings.ports.airflow}/dags/{run.dag_id}/runs/{run.run_id}"
    if failed is None:
        return UnavailableError(f"{run.dag_id}, run {run.run_id}, failed. See {page}")
    said = airflow.xcom(run, failed.task_id, "error", failed.map_index)
    kind = GateFailedError if failed.task_id in ("gate", "approve") else UnavailableError
    if said:
        return kind(f"{run.dag_id}: task '{failed.name}' failed: {said}\nSee {page}")
    log = [line for line in airflow.log_lines(run, failed) if line.strip()][-_LOG_LINES:]
    return kind(f"{run.dag_id}: task '{failed.name}' failed. See {page}", log=log)


def _result(
    airflow: AirflowApi, run: DagRun, settings: StackSettings, pipeline: str, night: date
) -> NightResult:
    metric = load_pipeline(pipeline).main_metric
    metrics = (_returned(airflow, run, "gate") or {}).get("metrics", {})
    version = int((_returned(airflow, run, "register") or {})["version"])
    steps = [_returned(airflow, run, task) or {} for task in STEPS]
    return NightResult(
        night=night,
        version=version,
        metric=metric,
        candidate=metrics.get(metric),
        champion=metrics.get(f"champion_{metric}"),
        verdict=_verdict(settings, pipeline, version),
        seconds=run.seconds,
        reused=all(step.get("reused") for step in steps),
    )


def _returned(airflow: AirflowApi, run: DagRun, task: str) -> dict[str, Any] | None:
    value = airflow.xcom(run, task)
    return value if isinstance(value, dict) else None


def _verdict(settings: StackSettings, pipeline: str, version: int) -> str:
    record = requests.record(stack_bucket(settings), pipeline)
    if version in record.rejected:
        return f"rejected: {record.rejected[version]}"
    if record.champion and record.champion.version == version:
        decision = record.champion.decision
        return f"live, {decision}" if decision else "live"
    if any(candidate.version == version for candidate in record.history):
        return "was live"
    return "registered"


def with_verdicts_now(
    results: list[NightResult], settings: StackSettings, pipeline: str
) -> list[NightResult]:
    """The same nights, each with the verdict that the release log has for it now."""
    return [
        replace(result, verdict=_verdict(settings, pipeline, result.version)) for result in results
    ]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
