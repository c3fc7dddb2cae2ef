"""Follows `--model_config_file`: what it asks for is put in force, what is wrong in it is not."""

from __future__ import annotations

import logging
from pathlib import Path

from nightshift.serving.config import read_config_file
from nightshift.serving.errors import ServingError, StatusCode
from nightshift.serving.manager import ServableManager

_log = logging.getLogger(__name__)


class ConfigFile:
    """One configuration file and what became of it.

    The file may appear after the server has started: until then there are no models. Once read, a
    file that breaks or goes away leaves the last good configuration in force, with one line in
    the log for each new reason. The file wins over a configuration sent by
    HandleReloadConfigRequest at the next poll, as in TensorFlow Serving.
    """

    def __init__(self, path: Path, manager: ServableManager) -> None:
        self._path = path
        self._manager = manager
        self._seen = False
        self._complaint = ""

    def poll(self) -> None:
        """Read the file and put it in force, if it says anything new."""
        try:
            self.load()
        except ServingError as error:
            if error.code is StatusCode.NOT_FOUND and not self._seen:
                self._complain(f"Serving no models yet: {error.message}")
            else:
                self._complain(f"Keeping the last good model configuration: {error}")
        else:
            self._complaint = ""

    def load(self) -> None:
        """Read the file and put it in force.

        Raises:
            ServingError: The file is missing, unreadable or wrong, or names a label that the
                server may not assign; nothing has changed.
        """
        config = read_config_file(self._path)
        self._seen = True
        if config != self._manager.config:
            names = ", ".join(model.name for model in config.models) or "no models"
            self._manager.apply(config)
            _log.info("Configuration in force from %s: %s", self._path, names)

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            self._complaint = message
            _log.error("%s", message)
