"""What the route file says; how Envoy takes it is shown in the integration tests."""

from __future__ import annotations

import json

import pytest

from nightshift.release import machine
from nightshift.release.address import Address
from nightshift.release.record import Colour, ReleaseRecord, Weights
from nightshift.release.routes import PipelineRoute, render_routes, version_of
from tests.unit.release.builders import asked, follow, released


def test_the_route_follows_the_live_colour_through_release_and_rollback() -> None:
    record = released(1, 2)
    assert PipelineRoute.wanted_by(record) == PipelineRoute(
        pipeline="flights", weights=Weights(green=100), green=2
    )
    back = follow(record, machine.roll_back(record, by="t", reason="r"))
    assert PipelineRoute.wanted_by(back) == PipelineRoute(
        pipeline="flights", weights=Weights(blue=100), blue=1
    )


def test_staging_leaves_the_route_as_it_is() -> None:
    before = released(1, 2)
    assert PipelineRoute.wanted_by(asked(before, 3)) == PipelineRoute.wanted_by(before)


def test_before_the_first_release_no_colour_takes_traffic() -> None:
    route = PipelineRoute.wanted_by(ReleaseRecord(pipeline="flights"))
    assert route.colours == ()
    assert "no version of flights is released yet" in render_routes([route])


def test_the_version_changes_with_the_routes_and_only_with_them() -> None:
    blue = PipelineRoute(pipeline="flights", weights=Weights(blue=100), blue=1)
    other = PipelineRoute(pipeline="boats")
    assert version_of(render_routes([blue, other])) == version_of(render_routes([other, blue]))
    for changed in (
        blue.model_copy(update={"blue": 2}),
        PipelineRoute(pipeline="flights", weights=Weights(green=100), green=1),
    ):
        assert version_of(render_routes([changed])) != version_of(render_routes([blue]))


def test_shares_of_both_colours_are_rendered() -> None:
    route = PipelineRoute(pipeline="flights", weights=Weights(blue=95, green=5), blue=1, green=2)
    text = json.dumps(json.loads(render_routes([route])))
    assert '"name": "flights-blue-rest", "weight": 95' in text
    assert '"name": "flights-green-grpc", "weight": 5' in text


@pytest.mark.parametrize("text", ["host", ":80", "host:", "host:port", ""])
def test_a_wrong_address_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Address.parse(text)


def test_colours_are_each_others_other() -> None:
    assert [colour.other for colour in Colour] == [Colour.GREEN, Colour.BLUE]
