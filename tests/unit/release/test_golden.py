"""When a golden answer is right: the shapes that servers answer in, the tolerance, the NaN."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nightshift.errors import UnavailableError
from nightshift.release.address import Address
from nightshift.release.golden import Golden, check_golden
from nightshift.release.model_server import ModelServer

GOLDEN = Golden(
    inputs={"carrier": ["AA", "UA"], "distance": [733.0, 1400.0]},
    outputs={"probability": [0.25, 0.5]},
    tolerance=1e-5,
)


class FixedAnswer:
    """A model server that answers every prediction with one body."""

    def __init__(self) -> None:
        self.status, self.body = 200, ""
        self.asked: list[tuple[str, Any]] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                owner.asked.append((self.path, json.loads(self.rfile.read(length))))
                self.send_response(owner.status)
                self.end_headers()
                self.wfile.write(owner.body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def check(self, body: str, status: int = 200, golden: Golden = GOLDEN) -> str | None:
        self.status, self.body = status, body
        address = Address("127.0.0.1", self.server.server_address[1])
        return check_golden(ModelServer(address), "flights", 3, golden)


@pytest.fixture
def server() -> Iterator[FixedAnswer]:
    fixed = FixedAnswer()
    yield fixed
    fixed.server.shutdown()
    fixed.server.server_close()


def test_the_request_names_version_signature_and_columns(server: FixedAnswer) -> None:
    server.check('{"outputs": [0.25, 0.5]}')
    path, body = server.asked[0]
    assert path == "/v1/models/flights/versions/3:predict"
    assert body == {"signature_name": "serving_default", "inputs": GOLDEN.inputs}


@pytest.mark.parametrize(
    "outputs",
    [
        [0.25, 0.5],
        [[0.25], [0.5]],
        {"probability": [0.25, 0.5]},
        {"probability": [[0.25], [0.5]], "logit": [1, 2]},
        [0.250009, 0.499991],
    ],
    ids=["bare", "nested", "named", "named among others", "within tolerance"],
)
def test_right_answers_in_every_shape_are_right(server: FixedAnswer, outputs: object) -> None:
    assert server.check(json.dumps({"outputs": outputs})) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"outputs": [0.25, 0.50002]}', "row 1 of 'probability': served 0.50002"),
        ('{"outputs": [0.25, NaN]}', "row 1"),
        ('{"outputs": [0.25, Infinity]}', "row 1"),
        ('{"outputs": [0.25]}', "1 values instead of 2"),
        ('{"outputs": {"score": [0.25, 0.5]}}', "no output 'probability'"),
        ('{"outputs": [0.25, "0.5"]}', "row 1"),
    ],
)
def test_wrong_answers_are_named(server: FixedAnswer, body: str, said: str) -> None:
    wrong = server.check(body)
    assert wrong is not None and said in wrong


def test_every_output_counts(server: FixedAnswer) -> None:
    golden = GOLDEN.model_copy(update={"outputs": {"a": [1.0], "b": [2.0]}})
    assert server.check('{"outputs": {"a": [1.0], "b": [2.0]}}', golden=golden) is None
    wrong = server.check('{"outputs": {"a": [1.0], "b": [2.1]}}', golden=golden)
    assert wrong is not None and "'b'" in wrong


def test_of_several_classes_the_wrong_one_is_named(server: FixedAnswer) -> None:
    golden = GOLDEN.model_copy(update={"outputs": {"probability": [[0.25, 0.75], [0.5, 0.5]]}})
    assert server.check('{"outputs": [[0.25, 0.75], [0.5, 0.5]]}', golden=golden) is None
    wrong = server.check('{"outputs": [[0.25, 0.75], [0.4, 0.6]]}', golden=golden)
    assert wrong is not None and "row 1, value 0, of 'probability': served 0.4" in wrong
    wrong = server.check('{"outputs": [0.25, 0.75]}', golden=golden)
    assert wrong is not None and "2 values instead of 4" in wrong


def test_a_refused_prediction_condemns_the_version(server: FixedAnswer) -> None:
    wrong = server.check('{"error": "signature not found"}', status=400)
    assert wrong is not None and "signature not found" in wrong


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_lost_the_version_condemns_nothing(server: FixedAnswer, status: int) -> None:
    with pytest.raises(UnavailableError):
        server.check('{"error": "Servable not found"}', status=status)
