"""The model configuration: TensorFlow Serving's ModelServerConfig as typed values.

model_config_list { config {
    name: "flights"  base_path: "/models/flights"  model_platform: "tensorflow"
    model_version_policy { specific { versions: 3  versions: 4 } }
    version_labels { key: "stable"  value: 3 }
} }
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from nightshift.serving.errors import ServingError, StatusCode, invalid_argument
from nightshift.serving.version_policy import (
    AllVersions,
    LatestVersions,
    SpecificVersions,
    VersionPolicy,
)

PLATFORM: Final = "tensorflow"
_MODEL_TYPE_TENSORFLOW: Final = 1


@dataclass(frozen=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: Name in requests.
        base_path: Absolute folder that holds one numeric sub-folder per version.
        policy: Which of the versions on disk to serve.
        labels: Version number by label, such as `{"stable": 3}`.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=LatestVersions)
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerConfig:
    """Everything to serve; no models is a valid configuration."""

    models: tuple[ModelConfig, ...] = ()

    def find(self, name: str) -> ModelConfig | None:
        """The configuration of one model, or None where it is not configured."""
        return next((model for model in self.models if model.name == name), None)


def parse_config(text: str) -> ServerConfig:
    """Read a ModelServerConfig in protobuf text format.

    Raises:
        ServingError: INVALID_ARGUMENT naming the line of a syntax error, or the model and the
            field that cannot be served.
    """
    message = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid_argument(f"Invalid protobuf text: {error}") from error
    return config_from_proto(message)


def config_from_proto(message: Any) -> ServerConfig:
    """Turn a ModelServerConfig message into typed values and check it.

    Raises:
        ServingError: INVALID_ARGUMENT for anything but a list of models, a name listed twice, a
            relative path or a platform other than "tensorflow".
    """
    if message.WhichOneof("config") != "model_config_list":
        raise invalid_argument(
            "Only ModelConfigList is currently supported: "
            "write `model_config_list {}` for no models"
        )
    models = tuple(_model_from_proto(model) for model in message.model_config_list.config)
    _refuse_duplicates(models)
    return ServerConfig(models)


def read_config_file(path: Path) -> ServerConfig:
    """Read `--model_config_file`.

    Raises:
        ServingError: INVALID_ARGUMENT for wrong content, NOT_FOUND without the file,
            FAILED_PRECONDITION where it cannot be read; the message names the file.
    """
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ServingError(StatusCode.NOT_FOUND, f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(StatusCode.FAILED_PRECONDITION, f"{path}: {error}") from error
    except ServingError as error:
        raise ServingError(error.code, f"{path}: {error.message}") from error


def single_model_config(name: str, base_path: Path) -> ServerConfig:
    """The configuration that `--model_name` and `--model_base_path` stand for.

    Raises:
        ServingError: INVALID_ARGUMENT for a relative path.
    """
    _refuse_relative(name, str(base_path))
    return ServerConfig((ModelConfig(name, base_path),))


def _model_from_proto(model: Any) -> ModelConfig:
    if not model.name:
        raise invalid_argument("A config entry has no name; every model needs one.")
    _refuse_platform(model)
    _refuse_relative(model.name, model.base_path)
    return ModelConfig(
        name=model.name,
        base_path=Path(model.base_path),
        policy=_policy_from_proto(model.model_version_policy),
        labels=dict(model.version_labels),
    )


def _policy_from_proto(policy: Any) -> VersionPolicy:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return AllVersions()
        case "specific":
            return SpecificVersions(frozenset(policy.specific.versions))
        case "latest":
            return LatestVersions(max(policy.latest.num_versions, 1))
        case _:
            return LatestVersions()


def _refuse_platform(model: Any) -> None:
    if model.model_platform == PLATFORM:
        return
    if not model.model_platform and model.model_type == _MODEL_TYPE_TENSORFLOW:
        return
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    raise invalid_argument(
        f"Model {model.name} requests unsupported platform {model.model_platform}"
    )


def _refuse_relative(name: str, base_path: str) -> None:
    if not PurePosixPath(base_path).is_absolute():
        raise invalid_argument(
            f"Expected model {name} to have an absolute path or URI; got base_path()={base_path}"
        )


def _refuse_duplicates(models: tuple[ModelConfig, ...]) -> None:
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid_argument(
                f"Illegal to list model {model.name} multiple times in config list"
            )
        seen.add(model.name)
