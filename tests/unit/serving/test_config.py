"""ModelServerConfig text into typed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.serving.config import (
    ModelConfig,
    ServerConfig,
    parse_config,
    read_config_file,
    single_model_config,
)
from nightshift.serving.errors import ServingError, StatusCode
from nightshift.serving.version_policy import (
    AllVersions,
    LatestVersions,
    SpecificVersions,
)

FULL = """
model_config_list {
  config {
    name: "flights"
    base_path: "/models/flights"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 3 versions: 4 } }
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 4 }
  }
  config {
    name: "fashion"
    base_path: "/models/fashion"
    model_platform: "tensorflow"
  }
}
"""


def test_every_field_is_read() -> None:
    assert parse_config(FULL) == ServerConfig(
        (
            ModelConfig(
                "flights",
                Path("/models/flights"),
                SpecificVersions(frozenset({3, 4})),
                {"stable": 3, "canary": 4},
            ),
            ModelConfig("fashion", Path("/models/fashion"), LatestVersions(1)),
        )
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", LatestVersions(1)),
        ("model_version_policy { latest { num_versions: 3 } }", LatestVersions(3)),
        ("model_version_policy { latest { } }", LatestVersions(1)),
        ("model_version_policy { all { } }", AllVersions()),
        (
            "model_version_policy { specific { versions: 7 } }",
            SpecificVersions(frozenset({7})),
        ),
    ],
)
def test_policies(policy: str, expected: object) -> None:
    (model,) = parse_config(_config(policy)).models

    assert model.policy == expected


def test_an_empty_list_serves_nothing() -> None:
    assert parse_config("model_config_list { }") == ServerConfig()


@pytest.mark.parametrize(
    ("text", "sense"),
    [
        ("", "Only ModelConfigList is currently supported"),
        ("model_config_list { config { nme: 'a' } }", 'no field named "nme"'),
        ('model_config_list { config { name: "a" ', "Invalid protobuf text: 1:"),
        ('model_config_list { config { base_path: "/a" } }', "has no name"),
        (
            'model_config_list { config { name: "a" base_path: "/a" } }',
            "model name is a",
        ),
        (
            'model_config_list { config { name: "a" base_path: "/a" model_platform: "torch" } }',
            "Model a requests unsupported platform torch",
        ),
        (
            'model_config_list { config { name: "a" base_path: "b" model_platform: "tensorflow"}}',
            "Expected model a to have an absolute path or URI; got base_path()=b",
        ),
    ],
)
def test_what_cannot_be_served_is_named(text: str, sense: str) -> None:
    with pytest.raises(ServingError) as caught:
        parse_config(text)

    assert caught.value.code is StatusCode.INVALID_ARGUMENT
    assert sense in caught.value.message


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("nonsense")

    with pytest.raises(ServingError, match=str(file)):
        read_config_file(file)


def test_a_file_that_is_not_there_is_told_from_one_that_is_wrong(
    tmp_path: Path,
) -> None:
    with pytest.raises(ServingError) as caught:
        read_config_file(tmp_path / "models.config")

    assert caught.value.code is StatusCode.NOT_FOUND


def test_a_single_model_needs_an_absolute_path() -> None:
    with pytest.raises(ServingError, match="absolute"):
        single_model_config("a", Path("models/a"))


def _config(policy: str) -> str:
    return (
        'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" '
        f"{policy} }} }}"
    )
