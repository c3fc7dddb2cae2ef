"""Sampled requests on their way to the lake: rows in memory, then one Parquet file.

Beside the dataset, as :mod:`nightshift.data.requests` reads them, one row for each row of a
request: its features, and what the version that was live said. It is a sample and no ledger: what
a host holds when it is killed is gone, and what the lake does not take in time is dropped, counted
and told.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any

from nightshift.data.lake import Lake
from nightshift.data.plain_parquet import Kind, Value, plain_parquet
from nightshift.definition.model import Feature, FeatureType
from nightshift.errors import UnavailableError
from nightshift.release.recording_plan import RecordingPlan
from nightshift.release.sample import Sample
from nightshift.storage.s3 import Bucket

_log = logging.getLogger(__name__)

ANSWER, VERSION, AT = "nightshift_answer", "nightshift_version", "nightshift_at"
"""Columns beside the features: the answer's row as JSON, who gave it, when (ISO, UTC)."""

SUFFIX = "_requests"
_MOST_ROWS = 50_000
"""Rows kept of each pipeline while the lake is away."""
_MOST_CELLS = 5_000_000
"""The same in values (pixels count singly)."""
_KINDS = {
    FeatureType.STRING: Kind.STRING,
    FeatureType.INT: Kind.INT,
    FeatureType.FLOAT: Kind.FLOAT,
    FeatureType.IMAGE: Kind.BYTES,
}


class UnfitError(ValueError):
    """A request that does not fit the features; says which."""


Row = dict[str, Value]


@dataclass
class _Batch:
    """Rows of one pipeline and one day."""

    plan: RecordingPlan
    rows: list[Row] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


_Key = tuple[str, date]
"""Whose rows, and which partition's."""


class RequestLog:
    """Collects samples and writes them. :meth:`add` never waits and never raises.

    Args:
        lake: The lake's bucket.
        host: Name of this host, part of each file's name.
        seconds: A file is written at the latest so long after its first row.
        rows: And as soon as it has so many.
    """

    def __init__(
        self, lake: Bucket, host: str, *, seconds: float = 600.0, rows: int = 10_000
    ) -> None:
        self._lake = lake
        self._host = host
        self._seconds = seconds
        self._rows = rows
        self._lock = threading.Lock()
        self._plans: dict[str, RecordingPlan] = {}
        self._batches: dict[_Key, _Batch] = {}
        self._counts: Counter[str] = Counter()
        self._told = 0

    def follow(self, plans: Mapping[str, RecordingPlan]) -> dict[str, float]:
        """Say what is kept; returns the share of each pipeline that is to be sampled."""
        with self._lock:
            self._plans = dict(plans)
            return {name: plan.sample for name, plan in plans.items() if plan.sample > 0}

    def add(self, sample: Sample) -> None:
        """Keep a sample, where its pipeline is kept and it was answered."""
        with self._lock:
            plan = self._plans.get(sample.pipeline)
        if plan is None or plan.sample <= 0 or sample.outputs is None:
            return
        try:
            rows = list(rows_of(sample, plan.features))
        except UnfitError as error:
            _log.debug("%s: a request is not kept: %s", sample.pipeline, error)
            with self._lock:
                self._counts["unfit"] += 1
            return
        with self._lock:
            if self._is_full(sample.pipeline, len(rows)):
                self._counts["dropped"] += len(rows)
                return
            key = (sample.pipeline, plan.day(sample.at))
            batch = self._batches.setdefault(key, _Batch(plan))
            batch.rows += rows

    @property
    def counts(self) -> dict[str, int]:
        """Rows ``written`` and ``dropped``, files, and requests ``unfit`` for the features."""
        with self._lock:
            return dict(self._counts)

    def flush(self, *, at_once: bool = False) -> bool:
        """Write one file that is due; whether there was one.

        Raises:
            UnavailableError: The lake does not take it; nothing is lost yet.
        """
        due = self._due(at_once)
        if due is None:
            return False
        try:
            self._write(*due)
        except UnavailableError:
            self._put_back(*due)
            raise
        finally:
            self._tell_drops()
        return True

    def _due(self, at_once: bool) -> tuple[_Key, _Batch] | None:
        oldest = time.monotonic() - self._seconds
        with self._lock:
            for key, batch in self._batches.items():
                if at_once or batch.since <= oldest or len(batch.rows) >= self._rows:
                    return key, self._batches.pop(key)
        return None

    def _put_back(self, key: _Key, batch: _Batch) -> None:
        with self._lock:
            newer = self._batches.pop(key, None)
            batch.rows += newer.rows if newer else []
            self._batches[key] = batch

    def _write(self, of: _Key, batch: _Batch) -> None:
        pipeline, day = of
        lake = Lake(self._lake, batch.plan.dataset + SUFFIX)
        key = f"{lake.partition(day)}{self._host}-{uuid.uuid4().hex[:12]}.parquet"
        body = plain_parquet(_columns(batch))
        self._lake.put(key, body, content_type="application/vnd.apache.parquet")
        _log.info("%s: %s requests' rows kept in %s", pipeline, len(batch.rows), lake.uri(key))
        with self._lock:
            self._counts["written"] += len(batch.rows)
            self._counts["files"] += 1

    def _is_full(self, pipeline: str, more: int) -> bool:
        held = [b for (name, _), b in self._batches.items() if name == pipeline]
        rows = sum(len(batch.rows) for batch in held) + more
        width = sum(_cells(f) for batch in held[:1] for f in batch.plan.features.values())
        return rows > _MOST_ROWS or rows * width > _MOST_CELLS

    def _tell_drops(self) -> None:
        with self._lock:
            dropped = self._counts["dropped"]
            new, self._told = dropped - self._told, dropped
        if new:
            _log.warning("%s rows of requests were dropped: the lake did not take them", new)


def rows_of(sample: Sample, features: Mapping[str, Feature]) -> Iterator[Row]:
    """Each row of a request, with its answer.

    Raises:
        UnfitError: A feature has another length, type or shape than declared; a missing one and
            further inputs are no error.
    """
    inputs = sample.inputs
    if not isinstance(inputs, dict):
        inputs = {next(iter(features)): inputs} if len(features) == 1 else {}
    known = {name: _rows(name, inputs[name]) for name in features if name in inputs}
    counts = {len(rows) for rows in known.values()}
    if len(counts) != 1:
        raise UnfitError(f"rows of different number: {sorted(counts)}")
    answers = _answers(sample.outputs, counts.pop())
    at = sample.at.astimezone(UTC).isoformat()
    for number, answer in enumerate(answers):
        row: Row = {
            name: _value(name, feature, known[name][number]) if name in known else None
            for name, feature in features.items()
        }
        row |= {ANSWER: json.dumps(answer), VERSION: sample.version, AT: at}
        yield row


def _rows(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise UnfitError(f"{name} is no list of rows")
    return values


def _answers(outputs: Any, rows: int) -> list[Any]:
    if isinstance(outputs, dict):
        each = {n: _answers(values, rows) for n, values in outputs.items()}
        return [{name: values[row] for name, values in each.items()} for row in range(rows)]
    if not isinstance(outputs, list) or len(outputs) != rows:
        raise UnfitError("the answer has not one row for each that was asked")
    return outputs


def _value(name: str, feature: Feature, value: Any) -> Value:
    try:
        return _READ[feature.type](feature, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnfitError(f"{name} is no {feature.type}") from error


def _single(value: Any) -> Any:
    """Clients may send a row's only value in a list of its own."""
    while isinstance(value, list) and len(value) == 1:
        [value] = value
    return value


def _string(_: Feature, value: Any) -> Value:
    value = _single(value)
    if isinstance(value, dict) and set(value) == {"b64"}:
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except binascii.Error as error:
            raise ValueError from error
    if not isinstance(value, str):
        raise TypeError
    # Lone surrogates are legal in JSON and are no text.
    value.encode()
    return value


def _int(_: Feature, value: Any) -> Value:
    value = _single(value)
    if isinstance(value, str) or int(value) != value or not -(2**63) <= value < 2**63:
        raise ValueError
    return int(value)


def _float(_: Feature, value: Any) -> Value:
    value = _single(value)
    if isinstance(value, str):
        raise TypeError
    return None if math.isnan(value) else float(value)


def _image(feature: Feature, value: Any) -> Value:
    assert feature.shape is not None
    pixels = [int(pixel) for pixel in _flat(value)]
    if len(pixels) != math.prod(feature.shape):
        raise ValueError
    return bytes(pixels)


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, list):
        for value in values:
            yield from _flat(value)
    else:
        yield values


_READ: dict[FeatureType, Callable[[Feature, Any], Value]] = {
    FeatureType.STRING: _string,
    FeatureType.INT: _int,
    FeatureType.FLOAT: _float,
    FeatureType.IMAGE: _image,
}


def _columns(batch: _Batch) -> dict[str, tuple[Kind, list[Value]]]:
    kinds = {name: _KINDS[feature.type] for name, feature in batch.plan.features.items()}
    kinds |= {ANSWER: Kind.STRING, VERSION: Kind.INT, AT: Kind.STRING}
    return {name: (kind, [row.get(name) for row in batch.rows]) for name, kind in kinds.items()}


def _cells(feature: Feature) -> int:
    return math.prod(feature.shape) if feature.shape else 1
