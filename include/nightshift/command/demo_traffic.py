"""Clients for the demo: real flights of the newest holdout, asked for while a version goes live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import NightshiftError
from nightshift.release import requests
from nightshift.release.golden import GOLDEN_FILE, Golden
from nightshift.stack.doors import serving_client
from nightshift.stack.settings import StackSettings
from nightshift.storage.s3 import Bucket

_CLIENTS = 2
_PAUSE_SECONDS = 0.02
"""While a version is released: its steps need requests to be judged by."""
_IDLE_SECONDS = 0.5
"""While nothing is: training has the machine."""


@contextmanager
def clients(bucket: Bucket, pipeline: str, settings: StackSettings) -> Iterator[None]:
    """A few clients that predict through Envoy while the block runs, once a version is live."""
    done, busy = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=_client, args=(bucket, pipeline, settings, done, busy), daemon=True)
        for _ in range(_CLIENTS)
    ]
    threads.append(
        threading.Thread(target=_watch, args=(bucket, pipeline, done, busy), daemon=True)
    )
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(5)


def predict(client: httpx.Client, pipeline: str, row: dict[str, Any]) -> httpx.Response:
    """One prediction through Envoy (raises httpx.HTTPError where it does not answer)."""
    return client.post(f"/v1/models/{pipeline}:predict", json={"instances": [row]})


def _watch(bucket: Bucket, pipeline: str, done: threading.Event, busy: threading.Event) -> None:
    """Tell the clients whether a release is under way."""
    while not done.wait(1):
        try:
            under_way = requests.record(bucket, pipeline).phase.under_way
        except NightshiftError:
            continue
        busy.set() if under_way else busy.clear()


def _client(
    bucket: Bucket,
    pipeline: str,
    settings: StackSettings,
    done: threading.Event,
    busy: threading.Event,
) -> None:
    rows = _rows(bucket, pipeline, done)
    with serving_client(settings) as client:
        while not done.is_set():
            for row in rows:
                try:
                    predict(client, pipeline, row)
                except httpx.HTTPError:
                    done.wait(1)
                if done.wait(_PAUSE_SECONDS if busy.is_set() else _IDLE_SECONDS):
                    return


def _rows(bucket: Bucket, pipeline: str, done: threading.Event) -> list[dict[str, Any]]:
    """The rows of the live version's golden requests; waits until there is a live version."""
    while not done.wait(1):
        try:
            live = requests.record(bucket, pipeline).champion
            if live is not None:
                store = ArtifactStore(bucket)
                file = store.read(store.open(live.released), GOLDEN_FILE)
                columns = Golden.model_validate_json(file).inputs
                return [
                    dict(zip(columns, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
        except NightshiftError:
            continue
    return []
