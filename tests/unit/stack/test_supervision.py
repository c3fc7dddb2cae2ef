"""The supervisor's configuration says what the declaration says, and keeps secrets to itself."""

from __future__ import annotations

import configparser
import json
import shlex
from pathlib import Path

import pytest

from nightshift.errors import BadDefinitionError
from nightshift.stack.processes import Process, processes
from nightshift.stack.settings import StackSettings
from nightshift.stack.supervision import Supervisor, render


def parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(text)
    return parser


def a_process(**environment: str) -> Process:
    return Process("one", "tools", ("python", "-c", "pass"), "http://x", environment=environment)


def test_every_declared_process_is_supervised(tmp_path: Path) -> None:
    settings = StackSettings(tmp_path)
    declared = processes(settings)
    sections = parsed(render(settings, declared)).sections()
    assert [s for s in sections if s.startswith("program:")] == [
        f"program:{process.name}" for process in declared
    ]


def test_a_process_is_restarted_and_ends_with_its_children(tmp_path: Path) -> None:
    section = parsed(render(StackSettings(tmp_path), (a_process(),)))["program:one"]
    assert section["autorestart"] == "true"
    assert section["stopasgroup"] == section["killasgroup"] == "true"


@pytest.mark.parametrize(
    "argument", ["plain", "with space", 'quo"te', "100%", "semi;colon", "it's"]
)
def test_an_argument_arrives_as_it_was_declared(argument: str, tmp_path: Path) -> None:
    process = Process("one", "tools", ("python", argument), "http://x")
    command = parsed(render(StackSettings(tmp_path), (process,)))["program:one"]["command"]
    assert shlex.split(command.replace("%%", "%"))[1] == argument


def test_json_in_the_environment_is_kept_whole(tmp_path: Path) -> None:
    value = json.dumps({"login": "a", "password": "b%c"})
    text = render(StackSettings(tmp_path), (a_process(CONNECTION=value),))
    assert f"CONNECTION='{value.replace('%', '%%')}'" in text


@pytest.mark.parametrize("value", ["both ' and \"", "two\nlines"])
def test_what_the_supervisor_cannot_carry_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(BadDefinitionError):
        render(StackSettings(tmp_path), (a_process(BAD=value),))


def test_an_argument_with_a_line_break_is_refused(tmp_path: Path) -> None:
    process = Process("one", "tools", ("python", "two\nlines"), "http://x")
    with pytest.raises(BadDefinitionError):
        render(StackSettings(tmp_path), (process,))


def test_no_secret_is_on_a_command_line(tmp_path: Path) -> None:
    settings = StackSettings(tmp_path)
    lines = " ".join(" ".join(process.command) for process in processes(settings))
    secrets = json.loads(settings.passwords_file.read_text()).values()
    assert not [secret for secret in secrets if secret in lines]


def test_no_port_is_used_twice_and_all_listen_on_this_machine_only(tmp_path: Path) -> None:
    settings = StackSettings(tmp_path)
    numbers = [number for _, number in settings.ports.items()]
    assert len(set(numbers)) == len(numbers)
    lines = " ".join(" ".join(process.command) for process in processes(settings))
    assert "0.0.0.0" not in lines


def test_the_control_socket_lies_in_the_stacks_own_folder(tmp_path: Path) -> None:
    settings = StackSettings(Path("/srv/nightshift"))
    assert Supervisor(settings, ()).config == Path("/srv/nightshift/run/supervisord.conf")
    assert settings.sockets == Path("/srv/nightshift/run")
