"""What people see of a night: each task once, the table of all nights."""

from __future__ import annotations

from datetime import date

from rich.console import Console

from nightshift.command.retraining import NightResult, NightView, night_table
from nightshift.definition.gates import Metric
from nightshift.stack.airflow_api import TaskRun

NIGHT = date(2013, 8, 31)


def shown(what: object) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_a_finished_task_is_told_once() -> None:
    view = NightView(NIGHT)
    view.update([TaskRun("snapshot", "success", 1, 2.0), TaskRun("train", "running", 1, 1.0)])
    (line,) = view.lines()
    assert "snapshot" in line
    assert view.lines() == []


def test_every_attempt_of_a_task_is_told() -> None:
    view = NightView(NIGHT)
    view.update([TaskRun("train", "up_for_retry", 1, 2.0)])
    assert len(view.lines()) == 1
    view.update([TaskRun("train", "success", 2, 3.0)])
    assert len(view.lines()) == 1


def test_the_picture_has_every_task_of_the_night_and_of_its_release() -> None:
    picture = shown(NightView(NIGHT).render())
    for task in ("snapshot", "statistics", "gate", "register", "release.watch"):
        assert task in picture


def test_the_table_has_numbers_verdict_and_what_was_reused() -> None:
    results = [
        NightResult(date(2013, 8, 29), 1, Metric.AUC, 0.68, None, "was live", 41.2, reused=True),
        NightResult(NIGHT, 2, Metric.AUC, 0.69123, 0.68, "live", 30.0, reused=False),
    ]
    first, second = [line for line in shown(night_table(results)).splitlines() if "2013" in line]
    assert [cell.strip() for cell in first.strip("│").split("│")] == [
        "2013-08-29",
        "1",
        "0.6800",
        "-",
        "was live",
        "41 (reused)",
    ]
    assert "0.6912" in second


def test_each_instance_of_a_mapped_task_has_its_own_line() -> None:
    view = NightView(date(2024, 3, 1))
    view.update(
        [
            TaskRun("quantize", "success", 1, 9.0, map_index=0, instance="float16"),
            TaskRun("quantize", "running", 1, 3.0, map_index=1, instance="int8"),
        ]
    )
    assert [view.tasks[f"quantize[{t}]"].state for t in ("float16", "int8")] == [  # type: ignore[union-attr]
        "success",
        "running",
    ]
