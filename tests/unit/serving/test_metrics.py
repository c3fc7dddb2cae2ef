"""The Prometheus page."""

from __future__ import annotations

from nightshift.serving.errors import StatusCode
from nightshift.serving.metrics import Metrics


def test_requests_are_counted_by_model_and_outcome() -> None:
    metrics = Metrics()
    metrics.request("a", StatusCode.OK)
    metrics.request("a", StatusCode.OK)
    metrics.request("a", StatusCode.NOT_FOUND)

    assert metrics.page().splitlines()[:3] == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="a",status="NOT_FOUND"} 1',
        ':tensorflow:serving:request_count{model_name="a",status="OK"} 2',
    ]


def test_the_memory_of_the_process_is_told() -> None:
    name, value = Metrics().page().splitlines()[-1].split()
    assert name == "process_resident_memory_bytes" and int(value) > 1_000_000


def test_buckets_are_cumulative_and_include_their_upper_bound() -> None:
    metrics = Metrics()
    for microseconds in (5, 10, 11, 1e12):
        metrics.request_latency(microseconds / 1e6, "a", "predict", "REST")

    lines = metrics.page().splitlines()
    labels = 'model_name="a",API="predict",entrypoint="REST"'
    bucket = f":tensorflow:serving:request_latency_bucket{{{labels},le="
    assert f'{bucket}"10"}} 2' in lines
    assert f'{bucket}"18"}} 3' in lines
    assert f'{bucket}"+Inf"}} 4' in lines
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 4" in lines
    assert len([line for line in lines if line.startswith(bucket)]) == 34


def test_a_name_from_outside_cannot_break_the_page() -> None:
    metrics = Metrics()
    metrics.request('a"\\\nb', StatusCode.OK)

    assert 'model_name="a\\"\\\\\\nb"' in metrics.page()
