"""Sampled requests as rows for the lake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from nightshift.definition.model import Feature, FeatureType
from nightshift.definition.partitions import Partitions
from nightshift.errors import UnavailableError
from nightshift.release.record import Colour
from nightshift.release.recording_plan import RecordingPlan
from nightshift.release.request_log import ANSWER, AT, VERSION, RequestLog, UnfitError, rows_of
from nightshift.release.sample import Sample

AT_NIGHT = datetime(2026, 1, 2, 3, 30, tzinfo=UTC)
FEATURES = {
    "carrier": Feature(type=FeatureType.STRING),
    "month": Feature(type=FeatureType.INT),
    "distance": Feature(type=FeatureType.FLOAT),
}
INPUTS: dict[str, list[Any]] = {"carrier": ["AA", "UA"], "month": [1, 2], "distance": [733.5, 1400]}


class Lake:
    """Takes what is put, while it is there."""

    name = "lake"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.away = False

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        if self.away:
            raise UnavailableError("the lake is away")
        self.files[key] = body


def sample(inputs: Any = INPUTS, outputs: Any = (0.1, 0.9), **changed: Any) -> Sample:
    outputs = list(outputs) if isinstance(outputs, tuple) else outputs
    fields: dict[str, Any] = {
        "pipeline": "flights",
        "colour": Colour.BLUE,
        "version": 3,
        "signature": "",
        "inputs": inputs,
        "outputs": outputs,
        "status": 200,
        "milliseconds": 5.0,
        "at": AT_NIGHT,
    }
    return Sample(**{**fields, **changed})


def plan(**changed: Any) -> RecordingPlan:
    fields = {"dataset": "flights", "sample": 0.1, "features": FEATURES}
    return RecordingPlan(**{**fields, **changed})


def rows(inputs: Any, outputs: Any = (0.1, 0.9), features: Any = FEATURES) -> list[dict[str, Any]]:
    return list(rows_of(sample(inputs, outputs), features))


def log(lake: Lake, followed: RecordingPlan | None = None, **options: Any) -> RequestLog:
    made = RequestLog(lake, "one", **options)  # type: ignore[arg-type]
    made.follow({"flights": followed or plan()})
    return made


def test_each_row_of_a_request_is_one() -> None:
    first, second = rows(INPUTS, {"probability": [[0.1], [0.9]]})

    assert (first["carrier"], first["month"], first["distance"]) == ("AA", 1, 733.5)
    assert second["distance"] == 1400.0
    assert json.loads(second[ANSWER]) == {"probability": [0.9]}
    assert (first[VERSION], first[AT]) == (3, "2026-01-02T03:30:00+00:00")


def test_a_row_of_one_value_may_come_in_a_list() -> None:
    [row] = rows({"carrier": [["AA"]], "month": [[1]], "distance": [[2.0]]}, (0.1,))

    assert (row["carrier"], row["month"], row["distance"]) == ("AA", 1, 2.0)


def test_what_is_not_a_feature_is_not_kept() -> None:
    [row] = rows({**{n: v[:1] for n, v in INPUTS.items()}, "name": ["Ada"]}, (0.1,))

    assert "name" not in row


def test_a_feature_that_was_not_sent_is_null_and_so_is_nan() -> None:
    [row] = rows({"carrier": ["AA"], "distance": [float("nan")]}, (0.1,))

    assert (row["month"], row["distance"]) == (None, None)


def test_an_only_feature_needs_no_name() -> None:
    [row, _] = rows([1.5, 2.5], features={"x": Feature(type=FeatureType.FLOAT)})

    assert row["x"] == 1.5


def test_an_image_is_its_bytes() -> None:
    image = Feature(type=FeatureType.IMAGE, shape=(2, 1, 1))

    [row] = rows({"image": [[[[0]], [[255.0]]]]}, ([0.1, 0.9],), {"image": image})

    assert row["image"] == b"\x00\xff"


@pytest.mark.parametrize(
    "inputs",
    [
        {**INPUTS, "month": [1, 2.5]},
        {**INPUTS, "month": ["1", "2"]},
        {**INPUTS, "month": [1, 2**63]},
        {**INPUTS, "month": [1, float("inf")]},
        {**INPUTS, "carrier": [1, 2]},
        {**INPUTS, "carrier": ["AA", "\ud800"]},
        {**INPUTS, "carrier": ["AA", {"b64": "!"}]},
        {**INPUTS, "carrier": ["AA", {"b64": 7}]},
        {**INPUTS, "distance": ["far", "near"]},
        {**INPUTS, "distance": [None, [1, 2]]},
        {**INPUTS, "distance": [1.0]},
        {**INPUTS, "distance": 1.0},
        {"wrong": [1]},
        [1, 2],
        7,
    ],
)
def test_a_request_that_does_not_fit_is_left_out(inputs: Any) -> None:
    with pytest.raises(UnfitError):
        rows(inputs)


@pytest.mark.parametrize("outputs", [(0.1,), 0.1, {"a": [0.1]}, {"a": 1}])
def test_an_answer_needs_a_row_for_each_asked(outputs: Any) -> None:
    with pytest.raises(UnfitError):
        rows(INPUTS, outputs)


def test_a_file_is_written_once_it_is_due() -> None:
    lake = Lake()
    requests = log(lake, rows=4)
    requests.add(sample())
    requests.flush()
    assert not lake.files

    requests.add(sample())
    requests.flush()

    [key] = lake.files
    assert key.startswith("flights_requests/date=2026-01-02/one-") and key.endswith(".parquet")
    assert requests.counts["written"] == 4


def test_an_error_and_another_pipeline_are_not_kept() -> None:
    lake = Lake()
    requests = log(lake)
    requests.add(sample(outputs=None, status=400))
    requests.add(sample(pipeline="other"))

    requests.flush(at_once=True)

    assert not lake.files


def test_nothing_is_lost_while_the_lake_is_away_for_a_while() -> None:
    lake = Lake()
    requests = log(lake, rows=2)
    requests.add(sample())
    lake.away = True
    with pytest.raises(UnavailableError):
        requests.flush()
    requests.add(sample())
    lake.away = False

    requests.flush()

    assert requests.counts["written"] == 4


def test_what_does_not_fit_in_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightshift.release.request_log._MOST_ROWS", 3)
    requests = log(Lake())
    requests.add(sample())
    requests.add(sample())

    assert requests.counts["dropped"] == 2


def test_a_requests_day_is_that_of_its_own_place() -> None:
    lake = Lake()
    requests = log(lake, plan(timezone="America/New_York"))
    requests.add(sample())
    requests.flush(at_once=True)

    assert next(iter(lake.files)).startswith("flights_requests/date=2026-01-01/")
    assert plan(partitions=Partitions.YEARLY).day(AT_NIGHT) == date(2026, 12, 31)


def test_only_what_is_sampled_is_asked_for() -> None:
    requests = RequestLog(Lake(), "one")  # type: ignore[arg-type]

    assert requests.follow({"flights": plan(), "other": plan(sample=0)}) == {"flights": 0.1}


def test_the_file_is_what_the_lakes_readers_expect() -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="the reader is Arrow's")
    import io

    lake = Lake()
    requests = log(lake, plan(features={n: f for n, f in FEATURES.items() if n != "carrier"}))
    requests.add(sample())
    requests.flush(at_once=True)

    table = pq.read_table(io.BytesIO(next(iter(lake.files.values()))))

    assert table.column_names == ["month", "distance", ANSWER, VERSION, AT]
    assert table.column("distance").to_pylist() == [733.5, 1400.0]
