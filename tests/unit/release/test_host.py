"""The order in which a host follows records, so that no request meets a server without its model.

Real files, slots, routes and configuration; only the model servers and Envoy are stand-ins that
answer HTTP, so that a test decides when a version is loaded.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nightshift.artifacts.store import ArtifactStore
from nightshift.errors import RefusedError
from nightshift.release import machine
from nightshift.release.address import Address, Upstream
from nightshift.release.edge import Edge
from nightshift.release.golden import Golden
from nightshift.release.host import Host
from nightshift.release.layout import HostLayout
from nightshift.release.memory import HostMemory
from nightshift.release.model_server import ModelServer
from nightshift.release.placement import Placed
from nightshift.release.record import Colour, ReleaseRecord
from nightshift.release.status import SlotState
from nightshift.storage.s3 import Bucket
from tests.integration.servers import wait_until
from tests.unit.release.builders import asked, candidate, follow, promoted, released

PIPELINE = "flights"


class HttpStandIn:
    """Answers GET and POST by a function of the path."""

    def __init__(self, answer: Callable[[str], object]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answer(self.path)
                self.send_response(404 if found is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.server.server_address[1])


class Serving:
    """A model server that loads at once what its configuration names, if the test lets it."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.may_load: set[int] = set()
        self.http = HttpStandIn(self._answer)

    @property
    def named(self) -> set[int]:
        """The versions that its configuration file names."""
        text = self.config.read_text() if self.config.exists() else ""
        return {int(number) for number in re.findall(r"versions: (\d+)", text)}

    def _answer(self, path: str) -> object:
        version = int(path.split("/versions/")[1].split(":", maxsplit=1)[0])
        if version not in self.named & self.may_load:
            return None
        if path.endswith(":predict"):
            return {"outputs": [version / 10]}
        return {"model_version_status": [{"state": "AVAILABLE", "status": {"error_code": "OK"}}]}


class OneHost:
    """A host without an object store: its versions lie on disk already."""

    def __init__(self, folder: Path) -> None:
        self.layout = HostLayout(
            folder / "models", folder / "models", folder / "state", folder / "envoy"
        )
        self.serving = {c: Serving(self.layout.config_file(c)) for c in Colour}
        self.envoy = HttpStandIn(lambda _: {"configs": [self._routes_in_use()]})
        self.host = self.start()

    def start(self) -> Host:
        """The agent's part, as after its start."""
        return Host(
            layout=self.layout,
            memory=HostMemory(self.layout.state),
            edge=Edge(
                self.layout,
                self.envoy.address,
                {c: Upstream(s.http.address, s.http.address) for c, s in self.serving.items()},
            ),
            servers={c: ModelServer(s.http.address) for c, s in self.serving.items()},
            store=ArtifactStore(Bucket("nowhere")),
            on_change=lambda: None,
        )

    def routed(self) -> tuple[Colour, int] | None:
        """Colour and version that the route file sends everything to."""
        text = json.dumps(self._routes())
        found = re.search(
            r'"name": "flights-(blue|green)-rest".*?"x-nightshift-version", "value": "(\d+)"', text
        )
        return (Colour(found[1]), int(found[2])) if found else None

    def settles(self, condition: Callable[[], bool], what: str) -> None:
        """Reconcile until a condition holds."""

        def look() -> bool:
            self.host.reconcile()
            return condition()

        wait_until(look, seconds=15, what=what)

    def stays(self, condition: Callable[[], bool]) -> None:
        """A condition holds over many looks."""
        for _ in range(20):
            self.host.reconcile()
            assert condition()
            threading.Event().wait(0.02)

    def _routes(self) -> dict[str, object]:
        path = self.layout.routes / "routes.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _routes_in_use(self) -> object:
        return {"version_info": self._routes().get("version_info")}

    def place(self, colour: Colour, version: int) -> None:
        """Put a version on disk as if it had been pulled."""
        (self.layout.base_path(colour, PIPELINE) / str(version)).mkdir(parents=True)
        golden = Golden(inputs={"x": [1]}, outputs={"y": [version / 10]}, tolerance=1e-6)
        placed = Placed(digest="d", files={}, golden=golden)
        marker = self.layout.placed_folder(colour, PIPELINE) / f"{version}.json"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(placed.model_dump_json())


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OneHost]:
    yield OneHost(tmp_path)


def serving_version_1(one: OneHost) -> ReleaseRecord:
    record = released(1)
    one.place(Colour.BLUE, 1)
    one.serving[Colour.BLUE].may_load = {1, 2, 3, 4, 5}
    one.host.learn(record)
    one.settles(lambda: one.routed() == (Colour.BLUE, 1), "version 1 is routed to")
    return record


def test_no_route_before_the_version_is_verified_here(one: OneHost) -> None:
    record = promoted(serving_version_1(one), 2)
    one.place(Colour.GREEN, 2)
    one.host.learn(record)
    one.stays(lambda: one.routed() == (Colour.BLUE, 1))
    assert "green is loading" in one.host.statuses()[PIPELINE].route.message
    one.serving[Colour.GREEN].may_load = {2}
    one.settles(lambda: one.routed() == (Colour.GREEN, 2), "version 2 is routed to")


def test_a_colour_with_traffic_keeps_its_version_until_the_route_has_moved(one: OneHost) -> None:
    """A host that missed a whole release finds its live colour given away already."""
    serving_version_1(one)
    one.place(Colour.GREEN, 2)
    one.place(Colour.BLUE, 3)
    one.host.learn(asked(released(1, 2), 3))
    one.stays(lambda: one.serving[Colour.BLUE].named == {1})
    assert one.routed() == (Colour.BLUE, 1)
    one.serving[Colour.GREEN].may_load = {2}
    one.settles(lambda: one.routed() == (Colour.GREEN, 2), "the route has moved to version 2")
    one.settles(
        lambda: one.host.statuses()[PIPELINE].blue.version == 3, "blue is told to hold version 3"
    )


def test_a_host_that_missed_two_releases_goes_by_the_way_back(one: OneHost) -> None:
    """Its live colour is the one that must change: the other one answers meanwhile."""
    serving_version_1(one)
    one.place(Colour.GREEN, 2)
    one.host.learn(released(1, 2, 3))
    one.stays(lambda: one.serving[Colour.BLUE].named == {1} and one.routed() == (Colour.BLUE, 1))
    # The route's colour is named by its server's configuration, before a restart and after.
    one.host = one.start()
    one.stays(lambda: one.serving[Colour.BLUE].named == {1} and one.routed() == (Colour.BLUE, 1))
    one.serving[Colour.GREEN].may_load = {2}
    one.settles(lambda: one.routed() == (Colour.GREEN, 2), "it answers by the way back")
    assert not one.host.statuses()[PIPELINE].route.follows(released(1, 2, 3))
    one.place(Colour.BLUE, 3)
    one.settles(lambda: one.routed() == (Colour.BLUE, 3), "version 3 is routed to")


def test_without_a_way_back_the_version_changes_under_its_route(one: OneHost) -> None:
    """The other colour holds a version that was rejected: it must never answer."""
    record = promoted(released(1, 2, 3), 4)
    record = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    serving_version_1(one)
    one.place(Colour.BLUE, 3)
    one.place(Colour.GREEN, 4)
    one.serving[Colour.GREEN].may_load = {4}
    one.host.learn(record)

    def looks() -> bool:
        assert one.routed() in {(Colour.BLUE, 1), (Colour.BLUE, 3)}
        return one.routed() == (Colour.BLUE, 3)

    one.settles(looks, "version 3 is routed to")


def test_the_way_back_stays_loaded_after_a_release(one: OneHost) -> None:
    serving_version_1(one)
    one.place(Colour.GREEN, 2)
    one.serving[Colour.GREEN].may_load = {2}
    one.host.learn(released(1, 2))
    one.settles(lambda: one.routed() == (Colour.GREEN, 2), "version 2 is routed to")
    one.stays(lambda: one.serving[Colour.BLUE].named == {1})


def test_a_server_that_loses_its_version_keeps_its_route(one: OneHost) -> None:
    serving_version_1(one)
    one.serving[Colour.BLUE].may_load = set()
    one.settles(
        lambda: one.host.statuses()[PIPELINE].blue.state is SlotState.LOADING, "it is reported"
    )
    assert one.routed() == (Colour.BLUE, 1)


def test_after_a_restart_the_first_look_changes_neither_routes_nor_configuration(
    one: OneHost,
) -> None:
    serving_version_1(one)
    files = [one.layout.config_file(Colour.BLUE), one.layout.routes / "routes.json"]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    one.host = one.start()
    one.host.reconcile()
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before


def test_a_reboot_without_the_object_store_keeps_the_versions_on_disk(one: OneHost) -> None:
    """Agent and model server start together: the server knows no version yet."""
    serving_version_1(one)
    one.serving[Colour.BLUE].may_load = set()
    one.host = one.start()
    one.stays((one.layout.base_path(Colour.BLUE, PIPELINE) / "1").is_dir)
    one.serving[Colour.BLUE].may_load = {1}
    one.settles(
        lambda: one.host.statuses()[PIPELINE].blue.state is SlotState.VERIFIED, "it serves again"
    )


def test_a_local_rollback_holds_over_a_restart_until_the_log_has_it(one: OneHost) -> None:
    serving_version_1(one)
    one.place(Colour.GREEN, 2)
    one.serving[Colour.GREEN].may_load = {2}
    record = released(1, 2)
    one.host.learn(record)
    one.settles(lambda: one.routed() == (Colour.GREEN, 2), "version 2 is routed to")
    rollback = one.host.roll_back(PIPELINE, by="t", reason="wrong")
    assert (rollback.from_version, rollback.to_version) == (2, 1)
    one.settles(lambda: one.routed() == (Colour.BLUE, 1), "version 1 is routed to again")
    one.host = one.start()
    one.host.learn(record)
    one.stays(lambda: one.routed() == (Colour.BLUE, 1))
    assert [pending.id for pending in one.host.pending()] == [rollback.id]
    in_log = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    one.host.settle(PIPELINE, in_log)
    assert one.host.pending() == () and one.start().pending() == ()
    one.stays(lambda: one.routed() == (Colour.BLUE, 1))


def test_a_local_rollback_that_needs_staging_is_refused(one: OneHost) -> None:
    record = released(1, 2, 3)
    record = follow(record, machine.roll_back(record, by="t", reason="wrong"))
    one.host.learn(record)
    with pytest.raises(RefusedError, match="no longer loaded"):
        one.host.roll_back(PIPELINE, by="t", reason="again")


def test_an_older_record_is_not_learnt(one: OneHost) -> None:
    one.host.learn(released(1, 2))
    one.host.learn(released(1))
    champion = one.host.records()[PIPELINE].champion
    assert champion == candidate(2)
