"""TensorFlow Serving's flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.serving.flags import parse_flags


def test_flags_as_tensorflow_serving_writes_them() -> None:
    flags = parse_flags(
        [
            "--port=9000",
            "--rest_api_port=9001",
            "--model_config_file=/models/models.config",
            "--model_config_file_poll_wait_seconds=0.5",
            "--allow_version_labels_for_unavailable_models=true",
            "--max_num_load_retries=0",
        ]
    )

    assert (flags.port, flags.rest_api_port) == (9000, 9001)
    assert flags.model_config_file == Path("/models/models.config")
    assert flags.model_config_file_poll_wait_seconds == 0.5
    assert flags.allow_version_labels_for_unavailable_models
    assert flags.max_num_load_retries == 0
    assert flags.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "value"),
    [([], False), ([""], True), (["=true"], True), (["=false"], False)],
)
def test_truth_values(text: list[str], value: bool) -> None:
    flag = "--allow_version_labels_for_unavailable_models"

    flags = parse_flags(["--model_base_path=/m", *(flag + part for part in text)])

    assert flags.allow_version_labels_for_unavailable_models is value


@pytest.mark.parametrize(
    ("arguments", "sense"),
    [
        (["--port=1"], "give --model_config_file"),
        (["--model_base_path=/m", "--port=0"], "nothing to listen on"),
        (["--model_base_path=/m", "--port=1", "--rest_api_port=1"], "must differ"),
        (["--model_base_path=/m", "--max_num_load_retries=-1"], "-1 is negative"),
        (
            ["--model_base_path=/m", "--file_system_poll_wait_seconds=nan"],
            "not a number",
        ),
        (["--model_base_path=/m", "--enable_batching"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    arguments: list[str], sense: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_flags(arguments)

    assert caught.value.code == 2
    assert sense in capsys.readouterr().err
