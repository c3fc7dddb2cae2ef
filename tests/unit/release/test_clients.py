"""Who is let in, as the clients file says."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from nightshift.errors import BadDefinitionError
from nightshift.release.clients import Clients, ClientsFile, parse_clients
from nightshift.release.record import Colour, Weights
from nightshift.release.routes import PipelineRoute, render_routes

KEY, OTHER = "a-key-of-the-shop-012345", "another-key-of-it-012345"
SHOP = f"clients: [{{name: shop, pipelines: [flights], keys: [{KEY}]}}]"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(mode)
    fresh.replace(path)


def test_a_client_may_ask_its_own_pipelines_or_every_one() -> None:
    clients = parse_clients(
        "clients: [{name: shop, pipelines: [flights]}, {name: all, pipelines: ['*']}]", "f"
    )
    assert clients.of("flights") == ("shop", "all")
    assert clients.of("boats") == ("all",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("clients: [", "not valid YAML"),
        ("clients: [{name: Shop, pipelines: []}]", "clients.0.name"),
        ("clients: [{name: shop}]", "clients.0.pipelines: Field required"),
        ("clients: [{name: shop, pipelines: [], keys: [short]}]", "clients.0.keys.0"),
        ("clients: [{name: a, pipelines: []}, {name: a, pipelines: []}]", "the same name"),
        (f"clients: [{{name: a, pipelines: [], keys: [{KEY}, {KEY}]}}]", "listed twice"),
        ("clients: [{name: a, pipelines: [], rate: 3}]", "clients.0.rate"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(text: str, says: str) -> None:
    with pytest.raises(BadDefinitionError, match=says) as caught:
        parse_clients(text, "clients.yaml")
    assert KEY not in str(caught.value) and "short" not in str(caught.value).split(": ", 1)[0]


def test_no_error_repeats_a_key() -> None:
    with pytest.raises(BadDefinitionError) as caught:
        parse_clients("clients: [{name: a, pipelines: [], keys: ['a secret with blanks']}]", "f")
    assert "secret" not in str(caught.value)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "clients.yaml"
    write(file, SHOP)
    clients = ClientsFile(file)
    assert clients.current().names == ("shop",)
    write(file, SHOP.replace("shop", "ship"))
    assert clients.current().names == ("ship",)


def test_a_wrong_or_missing_file_changes_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "clients.yaml"
    clients = ClientsFile(file)
    assert clients.current() == Clients()
    write(file, SHOP)
    assert clients.current().names == ("shop",)
    write(file, "clients: [{name: shop")
    with caplog.at_level(logging.ERROR):
        assert clients.current().names == ("shop",)
        assert clients.current().names == ("shop",)
    assert caplog.text.count("clients stay as they were (shop)") == 1
    os.unlink(file)
    assert clients.current().names == ("shop",)


def test_a_file_that_others_can_read_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "clients.yaml"
    write(file, SHOP, 0o644)
    clients = ClientsFile(file)
    assert clients.current().names == ()
    file.chmod(0o600)
    assert clients.current().names == ("shop",)


def test_a_key_is_no_pattern_and_is_not_shown_by_repr() -> None:
    key = "a.*key|that(is+no?pattern"
    clients = parse_clients(f"clients: [{{name: a, pipelines: ['*'], keys: ['{key}']}}]", "f")
    assert key not in repr(clients)
    live = PipelineRoute(pipeline="flights", weights=Weights.all_to(Colour.BLUE), blue=1)
    assert f'"exact": "{key}"' in render_routes([live], clients)


def test_routes_without_clients_are_open_as_before() -> None:
    text = render_routes([PipelineRoute(pipeline="flights")])
    assert "x-api-key" not in text and "401" not in text
