"""When a host's health check fails, and what it takes to be right again."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightshift.release.address import Address
from nightshift.release.readiness import Readiness
from nightshift.release.record import Colour
from nightshift.release.status import SlotState
from tests.unit.release.builders import asked, host, released, stepped
from tests.unit.release.test_host import PIPELINE, OneHost


class EnvoyAdmin:
    """Envoy's administration, as far as the health check goes."""

    def __init__(self) -> None:
        self.state = "LIVE"
        admin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if admin.state == "LIVE" else 503)
                self.end_headers()
                self.wfile.write(f"{admin.state}\n".encode())

            def do_POST(self) -> None:
                admin.state = {"/healthcheck/fail": "DRAINING", "/healthcheck/ok": "LIVE"}[
                    self.path
                ]
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server.server_address[1])


@pytest.fixture
def envoy() -> Iterator[EnvoyAdmin]:
    envoy = EnvoyAdmin()
    yield envoy
    envoy.server.shutdown()
    envoy.server.server_close()


@pytest.fixture
def one(tmp_path: Path) -> OneHost:
    return OneHost(tmp_path)


def started(one: OneHost, envoy: EnvoyAdmin) -> Readiness:
    return Readiness(one.layout.state, envoy.address, one.host)


def serve(one: OneHost, *versions: int) -> None:
    """The newest of these versions is live in the log, and the host serves it."""
    record = released(*versions)
    assert record.live is not None
    one.place(record.live, versions[-1])
    one.serving[record.live].may_load = set(versions)
    one.host.learn(record)
    one.settles(
        lambda: one.host.statuses()[PIPELINE].has_caught_up(record),
        f"version {versions[-1]} is served",
    )


def test_a_drained_host_fails_its_check_until_it_is_undrained(
    one: OneHost, envoy: EnvoyAdmin
) -> None:
    readiness = started(one, envoy)
    readiness.undrain()
    assert not readiness.look() and envoy.state == "LIVE"
    readiness.drain()
    assert readiness.look() and readiness.draining and envoy.state == "DRAINING"
    readiness.undrain()
    assert readiness.look() and not readiness.draining and envoy.state == "LIVE"


def test_an_undrained_host_catches_up_first(one: OneHost, envoy: EnvoyAdmin) -> None:
    serve(one, 1)
    readiness = started(one, envoy)
    readiness.drain()
    readiness.look()
    one.host.learn(released(1, 2))
    readiness.undrain()
    assert not readiness.look() and envoy.state == "DRAINING", "it has not looked yet"
    one.host.reconcile()
    assert not readiness.look() and envoy.state == "DRAINING", "version 2 is not loaded"
    serve(one, 1, 2)
    assert readiness.look() and envoy.state == "LIVE"


def test_routes_alone_do_not_make_a_host_ready(one: OneHost, envoy: EnvoyAdmin) -> None:
    """After a reboot its routes are those of before, and its servers have yet to load."""
    serve(one, 1)
    readiness = started(one, envoy)
    readiness.drain()
    readiness.look()
    one.serving[Colour.BLUE].may_load = set()
    one.settles(
        lambda: one.host.statuses()[PIPELINE].blue.state is not SlotState.VERIFIED, "it is lost"
    )
    readiness.undrain()
    assert not readiness.look() and envoy.state == "DRAINING"


def test_a_restarted_agent_goes_on_and_a_restarted_envoy_is_told_again(
    one: OneHost, envoy: EnvoyAdmin
) -> None:
    readiness = started(one, envoy)
    readiness.drain()
    readiness.look()
    again = started(one, envoy)
    assert again.draining, "before the object store was asked"
    envoy.state = "LIVE"
    again.look()
    assert envoy.state == "DRAINING"


def test_what_the_agent_knows_nothing_of_it_does_not_undo(one: OneHost, envoy: EnvoyAdmin) -> None:
    """Its folder was lost, and the object store is away: somebody has failed the check."""
    envoy.state = "DRAINING"
    readiness = started(one, envoy)
    readiness.look()
    assert envoy.state == "DRAINING"
    readiness.undrain()
    readiness.look()
    assert envoy.state == "LIVE"


def test_an_envoy_that_is_away_keeps_no_host_in_service(one: OneHost) -> None:
    readiness = Readiness(one.layout.state, Address("127.0.0.1", 1), one.host)
    readiness.drain()
    assert readiness.look() and readiness.draining


@pytest.mark.parametrize("state", [SlotState.LOADING, SlotState.VERIFIED], ids=str)
def test_a_candidate_under_way_is_caught_up_with_too(state: SlotState) -> None:
    """Else the release would begin to wait for a host that has hardly begun."""
    record = asked(released(1), 2)
    status = host(record, state=state).status
    assert status is not None
    assert status.has_caught_up(record) == (state is SlotState.VERIFIED)


def test_the_way_back_need_not_be_loaded() -> None:
    record = stepped(asked(released(1), 2))
    status = host(record).status
    assert status is not None and record.idle is Colour.BLUE
    lacking = status.model_copy(update={"blue": status.blue.model_copy(update={"version": None})})
    assert lacking.has_caught_up(record)
