"""Samples become counts; a stand-in plays Envoy's tap, so that a test decides what is copied."""

from __future__ import annotations

import http.server
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nightshift.release.address import Address
from nightshift.release.comparison import Compared
from nightshift.release.model_server import ModelServer
from nightshift.release.record import Colour
from nightshift.release.recorder import Pace
from nightshift.release.sample import Sample
from nightshift.release.shadow import Shadow, ShadowTarget
from tests.integration.ports import free_port
from tests.integration.servers import wait_until
from tests.unit.release.test_sample import trace

KEY = "00000001/shadow"
BLUE = {"x-nightshift-colour": "blue", "x-nightshift-version": "1"}
ASKED = {"inputs": {"x": [1.0]}}


class Server:
    """An HTTP server whose POST is a function of the handler."""

    def __init__(self, answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self._server.server_address[1])


class Tap:
    """Envoy's administration: whoever posts gets what the test copies."""

    def __init__(self) -> None:
        self.copies: queue.Queue[bytes | None] = queue.Queue()
        self.opened = 0
        self.server = Server(self._stream)

    def copy(self, text: bytes) -> None:
        """Let a request be copied, as Envoy prints it."""
        self.copies.put(text[:-1] + b"\n}\n")

    def _stream(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.opened += 1
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        while (text := self.copies.get()) is not None:
            handler.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")


class Model:
    """A model server that answers with what the test says, dies over a request, or refuses it."""

    def __init__(self) -> None:
        self.outputs: Any = [0.5]
        self.status = 200
        self.dies = False
        self.asked = 0
        self.server = Server(self._answer)

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.asked += 1
        if self.dies:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return
        text = json.dumps({"outputs": self.outputs}).encode()
        handler.send_response(self.status)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)


class Rig:
    """A Shadow between a tap and two model servers."""

    def __init__(self, state: Path, **options: Any) -> None:
        self.tap = Tap()
        self.models = {colour: Model() for colour in Colour}
        self.kept: list[Sample] = []
        self.servers = {c: ModelServer(model.server.address) for c, model in self.models.items()}
        self.state = state
        self.shadow = self.another(**options)

    def another(self, **options: Any) -> Shadow:
        """A Shadow on the same state."""
        return Shadow(
            self.tap.server.address, self.servers, self.state, also=self.kept.append, **options
        )

    def watch(self, key: str = KEY) -> None:
        """Compare blue's version 1, which is live, with green's version 2."""
        target = ShadowTarget("flights", key, Colour.BLUE, 1, Colour.GREEN, 2, 1.0, release="1")
        self.shadow.watch({"flights": target})
        wait_until(lambda: self.shadow.recorder.is_open, seconds=10, what="the tap is open")

    def copy(self, request: Any = ASKED, answer: Any = None, **options: Any) -> None:
        """Let a request be copied that blue's version 1 answered with 0.5."""
        told = {"outputs": [0.5]} if answer is None else answer
        answered = {**BLUE, **options.pop("answered", {})}
        self.tap.copy(trace(request, told, answered=answered, **options))

    def seen(self, key: str = KEY) -> Compared:
        return self.shadow.compared("flights", key)

    def await_seen(self, condition: Callable[[Compared], bool]) -> Compared:
        wait_until(lambda: condition(self.seen()), seconds=10, what="it is counted")
        return self.seen()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Nothing watched yet."""
    rig = Rig(tmp_path)
    yield rig
    rig.tap.copies.put(None)
    rig.shadow.close()


def test_the_other_colour_is_asked_the_same(rig: Rig) -> None:
    rig.watch()
    rig.models[Colour.GREEN].outputs = [0.9]

    rig.copy()

    seen = rig.await_seen(lambda counted: counted.pairs == 1)
    assert (seen.answered, seen.disagreements) == (1, 1)
    assert rig.models[Colour.BLUE].asked == 0


def test_what_green_answered_is_asked_of_blue(rig: Rig) -> None:
    rig.watch()

    rig.copy(answered={"x-nightshift-colour": "green", "x-nightshift-version": "2"})

    rig.await_seen(lambda counted: counted.pairs == 1)
    assert rig.models[Colour.BLUE].asked == 1


def test_an_answer_of_another_version_is_not_compared(rig: Rig) -> None:
    rig.watch()

    rig.copy(answered={"x-nightshift-version": "7"})
    rig.copy()

    assert rig.await_seen(lambda counted: counted.pairs == 1).pairs == 1


def test_a_server_that_dies_over_a_request_has_failed_it(rig: Rig) -> None:
    rig.watch()
    rig.models[Colour.GREEN].dies = True

    rig.copy()

    seen = rig.await_seen(lambda counted: counted.pairs == 1)
    assert (seen.failed_alone.green, seen.failed_alone.blue) == (1, 0)


def test_an_error_fails_the_request_but_not_one_that_says_not_now(rig: Rig) -> None:
    rig.watch()
    rig.models[Colour.GREEN].status = 500
    rig.copy()
    rig.await_seen(lambda counted: counted.failed_alone.green == 1)

    rig.models[Colour.GREEN].status = 503
    rig.copy()

    assert rig.await_seen(lambda counted: counted.unanswered == 1).pairs == 1


def test_a_server_that_is_not_there_is_nobodys_failure(rig: Rig) -> None:
    rig.servers[Colour.GREEN] = ModelServer(Address("127.0.0.1", free_port()))
    rig.watch()

    rig.copy()

    assert rig.await_seen(lambda counted: counted.unanswered == 1).pairs == 0


def test_blues_failure_counts_where_green_answers(rig: Rig) -> None:
    rig.watch()

    rig.copy(answer={"error": "?"}, answered={":status": "500"})

    assert rig.await_seen(lambda counted: counted.pairs == 1).failed_alone.blue == 1


def test_a_refusal_at_the_door_is_no_pair(rig: Rig) -> None:
    rig.watch()

    rig.copy(
        answer={"error": "?"}, answered={":status": "403", "x-envoy-upstream-service-time": ""}
    )
    rig.copy()

    assert rig.await_seen(lambda counted: counted.pairs == 1).failed_alone.blue == 0


def test_not_a_number_reaches_the_server_and_counts(rig: Rig) -> None:
    rig.watch()
    rig.models[Colour.GREEN].outputs = [float("nan")]

    rig.copy(request=b'{"inputs": {"x": [NaN]}}')

    assert rig.await_seen(lambda counted: counted.pairs == 1).non_finite_alone.green == 1


def test_more_than_may_be_asked_are_dropped_and_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path, most_per_second=2)
    rig.watch()

    for _ in range(10):
        rig.copy()

    seen = rig.await_seen(lambda counted: counted.pairs + counted.dropped == 10)
    assert 2 <= seen.pairs <= 4
    rig.tap.copies.put(None)
    rig.shadow.close()


def test_nothing_that_is_copied_stops_the_reader(rig: Rig) -> None:
    rig.watch()

    for text in (b"{}", b"{{", b"\xff\xfe}", b'{"http_buffered_trace": 7}', b"[" * 200_000 + b"}"):
        rig.tap.copy(text)
    rig.copy()

    rig.await_seen(lambda counted: counted.pairs == 1)
    assert rig.shadow.recorder.counts["unreadable"] == 5


def test_a_tap_that_ends_is_opened_again(rig: Rig) -> None:
    rig.watch()
    rig.tap.copies.put(None)

    wait_until(lambda: rig.tap.opened == 2, seconds=10, what="it is opened again")

    rig.copy()
    rig.await_seen(lambda counted: counted.pairs == 1)


def test_counts_are_kept_apart_by_key_and_outlive_the_agent(rig: Rig) -> None:
    rig.watch()
    rig.copy()
    rig.await_seen(lambda counted: counted.pairs == 1)
    rig.shadow.close()

    again = rig.another()

    assert again.compared("flights", KEY).pairs == 1
    assert again.compared("flights", "00000001/canary-1") == Compared()


@pytest.mark.parametrize("text", ["", "[", '{"pipelines": 7}', '{"other": {}}'])
def test_counts_that_cannot_be_read_begin_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "compared.json").write_text(text)

    assert Rig(tmp_path).seen() == Compared()


def test_only_what_is_recorded_is_given_on(rig: Rig) -> None:
    rig.watch()
    rig.copy()
    rig.await_seen(lambda counted: counted.pairs == 1)
    assert rig.kept == []

    rig.shadow.record({"flights": 1.0})
    rig.copy()
    rig.await_seen(lambda counted: counted.pairs == 2)

    assert [sample.pipeline for sample in rig.kept] == ["flights"]


def test_a_replayed_request_is_asked_of_both(rig: Rig) -> None:
    rig.watch()
    rig.models[Colour.GREEN].outputs = [0.9]

    rig.shadow.replay("flights", {"x": [1.0]})

    seen = rig.seen()
    assert (seen.pairs, seen.replayed, seen.disagreements) == (1, 1, 1)
    assert rig.shadow.releases() == {"flights": "1"}


def test_a_pace_saves_up_a_second_and_no_more() -> None:
    now = [0.0]
    pace = Pace(2, clock=lambda: now[0])
    assert [pace.allows() for _ in range(3)] == [True, True, False]

    now[0] = 0.5
    assert [pace.allows() for _ in range(2)] == [True, False]

    now[0] = 100.0
    assert [pace.allows() for _ in range(3)] == [True, True, False]
