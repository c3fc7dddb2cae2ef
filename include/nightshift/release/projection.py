"""The record after a change. The log's records are made by :func:`apply` and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nightshift.release.candidate import Candidate
from nightshift.release.event import Change, EventKind
from nightshift.release.record import HISTORY, Phase, ReleaseRecord, Weights, until

_Fields = dict[str, object]


def apply(record: ReleaseRecord, change: Change, *, number: int, at: datetime) -> ReleaseRecord:
    """The record after a change.

    Raises:
        pydantic.ValidationError: The change leads to a record that must never be.
    """
    rejected = dict(record.rejected)
    if change.reject is not None:
        rejected[change.reject] = change.reason
    fields = {
        "rejected": rejected,
        "since": at,
        "verdict": change.reason,
        **_AFTER[change.kind](record, change),
        "asked_at": at if change.kind is EventKind.ASKED else record.asked_at,
        "number": number,
    }
    # model_copy would skip the checks that make an impossible record an error.
    return ReleaseRecord.model_validate({**dict(record), **fields})


def _requested(record: ReleaseRecord, change: Change) -> _Fields:
    asked = change.request
    assert asked is not None, "a requested event carries its request"
    return {
        "phase": Phase.REQUESTED,
        "request": asked,
        "step": 0,
        "question": None,
        "approved": frozenset(),
        asked.colour.value: asked.candidate,
        "releases": {**record.releases, asked.candidate.version: asked.id},
    }


def _staged(record: ReleaseRecord, change: Change) -> _Fields:
    return {"phase": Phase.STAGED}


def _verified(record: ReleaseRecord, change: Change) -> _Fields:
    return {"phase": Phase.VERIFIED}


def _shadowed(record: ReleaseRecord, change: Change) -> _Fields:
    return {"phase": Phase.SHADOW}


def _stepped(record: ReleaseRecord, change: Change) -> _Fields:
    asked, step = record.request, change.step
    assert asked is not None and step is not None, "a stepped event says which step"
    share = asked.rollout.steps[step].weight
    return {
        "phase": Phase.CANARY,
        "step": step,
        "question": None,
        "weights": Weights.split(asked.colour, share),
    }


def _promoted(record: ReleaseRecord, change: Change) -> _Fields:
    asked = record.request
    assert asked is not None, "only a request is promoted"
    return {
        "phase": Phase.PROMOTED,
        "question": None,
        "live": asked.colour,
        "weights": Weights.all_to(asked.colour),
        "history": (*_ways_back(record), asked.candidate)[-HISTORY:],
    }


def _ways_back(record: ReleaseRecord) -> tuple[Candidate, ...]:
    """The live version and those before it that may be live again.

    Without the rejected ones: many bad ones in a row must not push the good one out. Without what
    was left since the live version's turn, rejected or not: the way back never leads there.
    """
    live = record.champion
    known = until(record.history, live.version) if live else ()
    return tuple(version for version in known if version.version not in record.rejected)


def _baked(record: ReleaseRecord, change: Change) -> _Fields:
    return {"phase": Phase.BAKING}


def _finished(record: ReleaseRecord, change: Change) -> _Fields:
    return {"phase": Phase.FINISHED, "question": None}


def _aborted(record: ReleaseRecord, change: Change) -> _Fields:
    # The candidate was never live: its memory is given back. A host on which it is a canary
    # moves its route first.
    weights = Weights.all_to(record.live) if record.live else Weights()
    return {
        "phase": Phase.ABORTED,
        "question": None,
        "weights": weights,
        record.idle.value: None,
    }


def _rolled_back(record: ReleaseRecord, change: Change) -> _Fields:
    colour = change.to
    assert colour is not None, "a rolled_back event says where to"
    # The version left stays loaded: a host may still be moving its route away from it.
    return {
        "phase": Phase.ROLLED_BACK,
        "question": None,
        "live": colour,
        "weights": Weights.all_to(colour),
    }


def _cooled(record: ReleaseRecord, change: Change) -> _Fields:
    return {**_as_it_was(record), record.idle.value: None}


def _asked(record: ReleaseRecord, change: Change) -> _Fields:
    return {**_as_it_was(record), "question": change.about, "verdict": change.reason}


def _approved(record: ReleaseRecord, change: Change) -> _Fields:
    assert change.about is not None, "an approved event says what was asked"
    return {
        **_as_it_was(record),
        "question": None,
        "approved": record.approved | {change.about},
        "verdict": change.reason,
    }


def _frozen(record: ReleaseRecord, change: Change) -> _Fields:
    return {**_as_it_was(record), "freeze": change.freeze}


def _thawed(record: ReleaseRecord, change: Change) -> _Fields:
    return {**_as_it_was(record), "freeze": None}


def _as_it_was(record: ReleaseRecord) -> _Fields:
    """For changes beside the phase: its time goes on."""
    return {"since": record.since, "verdict": record.verdict}


_AFTER: dict[EventKind, Callable[[ReleaseRecord, Change], _Fields]] = {
    EventKind.REQUESTED: _requested,
    EventKind.STAGED: _staged,
    EventKind.VERIFIED: _verified,
    EventKind.SHADOWED: _shadowed,
    EventKind.STEPPED: _stepped,
    EventKind.PROMOTED: _promoted,
    EventKind.BAKED: _baked,
    EventKind.FINISHED: _finished,
    EventKind.ABORTED: _aborted,
    EventKind.ROLLED_BACK: _rolled_back,
    EventKind.COOLED: _cooled,
    EventKind.ASKED: _asked,
    EventKind.APPROVED: _approved,
    EventKind.FROZEN: _frozen,
    EventKind.THAWED: _thawed,
}
