"""Step ``tune``: search the parameters of ``tuning.space``; the best feed ``train``.

Files of the artifact: ``best.json``, ``trials.json``, ``report.html``. The study bears the step's
key as its name: an attempt that was killed is gone on with, by whoever runs the step next.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nightshift.data.reader import read_snapshot
from nightshift.definition.model import Feature, Label
from nightshift.definition.training import Cluster, Strategy, Training, Tuning
from nightshift.steps.contract import StepContext, StepOutcome
from nightshift.training.examples import ExampleReader
from nightshift.training.lean_import import import_tensorflow
from nightshift.training.system_usage import SystemUsage
from nightshift.tuning.best import BEST_FILE
from nightshift.tuning.material import Material, read_material

if TYPE_CHECKING:
    import optuna

TRIALS_FILE, REPORT_FILE = "trials.json", "report.html"


def run(context: StepContext) -> StepOutcome:
    """Search, or go on with the search that an earlier attempt began.

    Raises:
        BadDataError: The data cannot be what the definition says.
        BadDefinitionError: model.py cannot be trained as pipeline.yaml says.
    """
    request = context.request
    tuning = request.section("tuning", Tuning)
    features = request.section("features", dict[str, Feature])
    reader = ExampleReader(features, request.section("label", Label))
    snapshot = read_snapshot(context.store, context.input("snapshot"))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(
            read_material, snapshot, reader, tuning.validation_share, context.work
        )
        import_tensorflow()  # once, for all trials
        material = reading.result()
    context.log.info(
        "%d rows to fit on, the %d of the last days to judge by",
        material.rows.count,
        len(material.validation),
    )
    with SystemUsage() as usage:
        study, resumed = _searched(context, tuning, _alone(context), material)
    return _outcome(context, study, usage, resumed=resumed)


def _alone(context: StepContext) -> Training:
    """The training section for trials: each is one process on one device."""
    training = context.request.section("training", Training)
    alone = {
        "strategy": Strategy.SINGLE,
        "cluster": Cluster.LOCAL,
        "workers": 1,
        "parameter_servers": 0,
        "profile": False,
    }
    return training.model_copy(update=alone)


def _searched(
    context: StepContext, tuning: Tuning, training: Training, material: Material
) -> tuple[optuna.Study, int]:
    """The study with all its trials, and how many of them earlier attempts had finished."""
    from nightshift.tuning.search import Search
    from nightshift.tuning.space import unchanged
    from nightshift.tuning.study import finished, open_study, storage_of, take_up

    request = context.request
    journal = f"{request.pipeline}/runs/{request.night.isoformat()}/tuning/{request.key}"
    study = open_study(
        storage_of(context.store.bucket, journal),
        request.key,
        tuning,
        epochs=training.epochs,
        seed=training.seed,
    )
    before = len(finished(study))
    cut_off = take_up(study, unchanged(training, tuning.space))
    if before or cut_off:
        context.log.info(
            "Resumed: %d of %d trials are there, %d were cut off", before, tuning.trials, cut_off
        )
    cores = len(os.sched_getaffinity(0))
    parallel = min(tuning.parallel or cores, tuning.trials)
    Search(
        study,
        tuning,
        training,
        material,
        request.folder,
        parallel=parallel,
        cores=cores,
        log=context.log,
    ).run()
    return study, before


def _outcome(
    context: StepContext, study: optuna.Study, usage: SystemUsage, *, resumed: int
) -> StepOutcome:
    from nightshift.tuning.report import report_html
    from nightshift.tuning.result import importances, results

    trials = results(study)
    complete = [trial for trial in trials if trial.state == "complete"]
    best = next(trial for trial in complete if trial.number == study.best_trial.number)
    unchanged = next((trial for trial in complete if trial.unchanged), best)
    request = context.request
    subtitle = f"{request.pipeline}, night of {request.night.isoformat()}"
    told = [trial.model_dump(mode="json") for trial in trials]
    files = {
        BEST_FILE: json.dumps(best.parameters, indent=1),
        TRIALS_FILE: json.dumps(told, indent=1),
        REPORT_FILE: report_html(subtitle, trials, best, unchanged, importances(study)),
    }
    for name, text in files.items():
        (context.output / name).write_text(text, encoding="utf-8")
    assert best.loss is not None and unchanged.loss is not None
    context.log.info(
        "Best of %d: trial %d, loss %.5f; pipeline.yaml's parameters: %.5f",
        sum(trial.state != "fail" for trial in trials),
        best.number,
        best.loss,
        unchanged.loss,
    )
    return StepOutcome(
        metrics={
            "tuned_validation_loss": best.loss,
            "untuned_validation_loss": unchanged.loss,
            "trials": sum(trial.state != "fail" for trial in trials),
            "trials_pruned": sum(trial.state == "pruned" for trial in trials),
            "trials_from_earlier_attempts": resumed,
        },
        facts={
            "study": study.study_name,
            "best": best.parameters,
            "best_trial": best.number,
            "trials": told,
            "system": usage.samples,
        },
        reports={"Search": REPORT_FILE},
    )
