"""Counters and latency histograms under TensorFlow Serving's names, for Prometheus.

Names, labels, buckets and the text form follow TensorFlow Serving's `servables/tensorflow/util.cc`
and `prometheus_exporter.cc`: a metric `/tensorflow/serving/request_count` is exported as
`:tensorflow:serving:request_count`. (The Prometheus client library refuses to name a counter
without the suffix `_total`, so it cannot stand in.)
"""

from __future__ import annotations

import resource
import threading
from bisect import bisect_left
from pathlib import Path
from typing import Final

from nightshift.serving.errors import StatusCode

_LATENCY_BOUNDS: Final = tuple(10 * 1.8**step for step in range(33))
"""Upper bounds in microseconds: scale 10, growth 1.8, 33 buckets, up to 25 minutes."""

_LabelValues = tuple[str, ...]


class Counter:
    """A number that only grows, one per combination of label values."""

    def __init__(self, name: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._labels = labels
        self._lock = threading.Lock()
        self._counts: dict[_LabelValues, int] = {}

    def add(self, *values: str) -> None:
        """Count one more."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0) + 1

    def lines(self) -> list[str]:
        """The metric in Prometheus text form."""
        with self._lock:
            counts = sorted(self._counts.items())
        head = [f"# TYPE {self._name} counter"] if counts else []
        return head + [
            f"{self._name}{{{_labels(self._labels, values)}}} {count}" for values, count in counts
        ]


class Histogram:
    """A distribution of microseconds, one per combination of label values."""

    def __init__(self, name: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._labels = labels
        self._lock = threading.Lock()
        self._buckets: dict[_LabelValues, list[int]] = {}
        self._sums: dict[_LabelValues, float] = {}

    def observe(self, microseconds: float, *values: str) -> None:
        """Add one observation."""
        bucket = bisect_left(_LATENCY_BOUNDS, microseconds)
        with self._lock:
            buckets = self._buckets.get(values)
            if buckets is None:
                buckets = self._buckets[values] = [0] * (len(_LATENCY_BOUNDS) + 1)
            buckets[bucket] += 1
            self._sums[values] = self._sums.get(values, 0.0) + microseconds

    def lines(self) -> list[str]:
        """The metric in Prometheus text form, buckets cumulative."""
        with self._lock:
            points = [
                (values, list(buckets), self._sums[values])
                for values, buckets in sorted(self._buckets.items())
            ]
        lines = [f"# TYPE {self._name} histogram"] if points else []
        for values, buckets, total in points:
            lines += self._point(_labels(self._labels, values), buckets, total)
        return lines

    def _point(self, labels: str, buckets: list[int], total: float) -> list[str]:
        bounds = [f"{bound:g}" for bound in _LATENCY_BOUNDS] + ["+Inf"]
        lines, count = [], 0
        for bound, added in zip(bounds, buckets, strict=True):
            count += added
            lines.append(f'{self._name}_bucket{{{labels},le="{bound}"}} {count}')
        return [
            *lines,
            f"{self._name}_sum{{{labels}}} {total:g}",
            f"{self._name}_count{{{labels}}} {count}",
        ]


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self._requests = Counter(":tensorflow:serving:request_count", ("model_name", "status"))
        self._request_latency = Histogram(
            ":tensorflow:serving:request_latency", ("model_name", "API", "entrypoint")
        )
        self._runtime_latency = Histogram(
            ":tensorflow:serving:runtime_latency", ("model_name", "API", "runtime")
        )
        self._warmup_latency = Histogram(
            ":tensorflow:serving:model_warmup_latency", ("model_path", "status")
        )
        self._loads = Counter(
            ":tensorflow:cc:saved_model:load_attempt_count", ("model_path", "status")
        )

    def request(self, model: str, code: StatusCode) -> None:
        """A request ended with this code."""
        self._requests.add(model, code.name)

    def request_latency(self, seconds: float, model: str, api: str, entrypoint: str) -> None:
        """A request succeeded after this long, from its arrival to its answer."""
        self._request_latency.observe(seconds * 1e6, model, api, entrypoint)

    def runtime_latency(self, seconds: float, model: str) -> None:
        """TensorFlow took this long for one prediction."""
        self._runtime_latency.observe(seconds * 1e6, model, "Predict", "TF1")

    def warmup(self, seconds: float, path: str, code: StatusCode) -> None:
        """Warm-up of the SavedModel at this path took this long."""
        self._warmup_latency.observe(seconds * 1e6, path, code.name)

    def load(self, path: str, succeeded: bool) -> None:
        """One attempt to load the SavedModel at this path."""
        self._loads.add(path, "success" if succeeded else "fail")

    def page(self) -> str:
        """Everything, in Prometheus text form."""
        metrics = (
            self._loads,
            self._warmup_latency,
            self._requests,
            self._request_latency,
            self._runtime_latency,
        )
        lines = [line for metric in metrics for line in metric.lines()]
        return "\n".join([*lines, *_memory_lines()]) + "\n"


def _memory_lines() -> list[str]:
    """The process's memory, under the name that Prometheus's own clients give it."""
    name = "process_resident_memory_bytes"
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return [f"# TYPE {name} gauge", f"{name} {pages * resource.getpagesize()}"]


def _labels(names: tuple[str, ...], values: _LabelValues) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
