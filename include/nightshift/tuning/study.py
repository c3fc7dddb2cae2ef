"""A search's study in Optuna: opened again where an attempt was killed, with the trials it has.

Where it is kept: in the database that ``NIGHTSHIFT_STUDIES`` names (SQLAlchemy's address, such as
the local stack's SQLite file beside MLflow's), else as a journal in S3 beside the run, which every
machine reaches that can run the step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from nightshift.definition.training import Scalar, Tuning

if TYPE_CHECKING:
    from nightshift.storage.s3 import Bucket

DATABASE = "NIGHTSHIFT_STUDIES"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
UNCHANGED = "unchanged"
"""Marks the trial whose parameters are those of pipeline.yaml; it is never pruned."""

_WAIT_SECONDS = 60
_LEAST_RANDOM = 4


def storage_of(bucket: Bucket, prefix: str) -> optuna.storages.BaseStorage:
    """Where studies are kept.

    Args:
        bucket: The artifact bucket.
        prefix: Where the journal lies in it, if it does.
    """
    address = os.environ.get(DATABASE)
    if address:
        arguments = {"timeout": _WAIT_SECONDS} if address.startswith("sqlite") else {}
        return optuna.storages.RDBStorage(address, engine_kwargs={"connect_args": arguments})
    from nightshift.tuning.journal import S3Journal

    return optuna.storages.JournalStorage(S3Journal(bucket, prefix))


def open_study(
    storage: optuna.storages.BaseStorage, name: str, tuning: Tuning, *, epochs: int, seed: int
) -> optuna.Study:
    """The study of that name, made where there is none. Smaller values are better."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="minimize", load_if_exists=True
    )
    # Resumed with the same seed the sampler would draw again what it drew before.
    drawn = len(study.get_trials(deepcopy=False))
    random = max(_LEAST_RANDOM, min(10, tuning.trials // 3))
    study.sampler = optuna.samplers.TPESampler(seed=abs(seed) + drawn, n_startup_trials=random)
    study.pruner = _pruner(tuning, epochs)
    return study


def take_up(study: optuna.Study, unchanged: Mapping[str, Scalar]) -> int:
    """Prepare a study to be gone on with; returns how many trials were cut off.

    Trials that were running when an earlier attempt died are marked as failed, which do not count,
    and their parameters are tried again. The unchanged parameters come first.
    """
    cut_off = study.get_trials(states=(TrialState.RUNNING,))
    for trial in cut_off:
        study.tell(trial.number, state=TrialState.FAIL)
    if not any(is_unchanged(trial) for trial in _alive(study)):
        study.enqueue_trial(dict(unchanged), user_attrs={UNCHANGED: True})
    for trial in cut_off:
        if trial.params.keys() == unchanged.keys() and not is_unchanged(trial):
            study.enqueue_trial(trial.params, skip_if_exists=False)
    return len(cut_off)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that came to their end or were pruned: those that count."""
    return study.get_trials(deepcopy=False, states=FINISHED)


def is_unchanged(trial: FrozenTrial | optuna.Trial) -> bool:
    """Whether it measured the parameters of pipeline.yaml."""
    return bool(trial.user_attrs.get(UNCHANGED))


def _alive(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.WAITING))


def _pruner(tuning: Tuning, epochs: int) -> optuna.pruners.BasePruner:
    if tuning.pruner == "none":
        return optuna.pruners.NopPruner()
    if tuning.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
    # After one epoch a small learning rate looks worse than it will be.
    return optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=1)
