"""``demo``: from nothing to three real nights, trained, released and asked for a prediction."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import httpx

from nightshift.command.building import ensure_runtimes
from nightshift.command.demo_traffic import clients, predict
from nightshift.command.display import console, heading, since
from nightshift.command.releases import stack_bucket
from nightshift.command.retraining import night_table, run_night, with_verdicts_now
from nightshift.command.seeding import fill_lake
from nightshift.command.stack import bring_up, show_addresses
from nightshift.errors import UnavailableError
from nightshift.stack.doors import serving_client
from nightshift.stack.settings import StackSettings, current_settings

_PIPELINE = "flights"
_NIGHTS = (date(2013, 8, 29), date(2013, 8, 30), date(2013, 8, 31))
# Southwest 4720 of 1 September 2013, the day after the last night: it came 190 minutes late.
FLIGHT = {
    "carrier": "WN",
    "origin": "EWR",
    "dest": "HOU",
    "month": 9,
    "weekday": 6,
    "sched_dep_time": 1240,
    "sched_arr_time": 1525,
    "distance": 1411.0,
}
_FLIGHT_WORDS = "WN 4720, Newark to Houston, Sunday 2013-09-01 12:40 (it came 190 minutes late)"


def demo() -> None:
    """Build everything, train three real nights of 2013 through Airflow, serve the result.

    Four to ten minutes on 2 cores the first time, by how fast installing is. Run it again at any
    time: what was built, trained and released before is reused.

    Needs 10 GB of disk and 4 GB of memory. Everything stays on 127.0.0.1 and under .nightshift/.
    """
    started = time.monotonic()
    settings = current_settings()
    ensure_runtimes(settings)
    bring_up(settings)
    heading("Filling the lake with the flights of 2013")
    fill_lake(settings, _PIPELINE)
    heading("Training three nights through Airflow")
    with clients(stack_bucket(settings), _PIPELINE, settings):
        results = [run_night(settings, _PIPELINE, night) for night in _NIGHTS]
    console.print(night_table(with_verdicts_now(results, settings, _PIPELINE)))
    _predict(settings)
    show_addresses(settings)
    console.print(f"Done in {since(started)}. Stop everything: ./nightshift down")


def _predict(settings: StackSettings) -> None:
    try:
        with serving_client(settings) as client:
            answer = predict(client, _PIPELINE, FLIGHT)
    except httpx.HTTPError as error:
        raise UnavailableError(f"Envoy does not answer ({type(error).__name__}).") from None
    if not answer.is_success:
        raise UnavailableError(f"Envoy answered {answer.status_code}: {answer.text[:300]}")
    probability = _first_number(answer.json()["predictions"])
    console.print(f"A prediction through Envoy, by TLS and with a key: {_FLIGHT_WORDS}")
    console.print(f"  more than 15 minutes late with probability {probability:.4f}")


def _first_number(predictions: Any) -> float:
    """The probability, whether the server names the output or not."""
    while not isinstance(predictions, (int, float)):
        predictions = (
            next(iter(predictions.values())) if isinstance(predictions, dict) else predictions[0]
        )
    return float(predictions)
