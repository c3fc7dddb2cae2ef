"""Where things lie on a serving host's own disk.

::

    <models>/<colour>/models.config                     what the colour's server should serve
    <models>/<colour>/<pipeline>/<version>/             a SavedModel, renamed into place whole
    <models>/<colour>/.incoming/                        downloads under way
    <state>/records/<pipeline>.json                     the last record read
    <state>/pending/<pipeline>.json                     a local roll-back the log has yet to hear of
    <state>/placed/<colour>/<pipeline>/<version>.json   digests of a version, its golden requests
    <state>/routes.json                                 the routes in force
    <state>/compared.json                               what comparing two colours' answers counted
    <state>/draining                                    there while the host is out of service
    <state>/replays.json                                how far each pipeline's replay has come
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nightshift.release.record import Colour


@dataclass(frozen=True)
class HostLayout:
    """The folders of one host.

    Attributes:
        models: Folder that agent and model servers share.
        served_models: The same folder as the model servers see it.
        state: The agent's own folder.
        routes: The folder that Envoy watches.
    """

    models: Path
    served_models: Path
    state: Path
    routes: Path

    def config_file(self, colour: Colour) -> Path:
        """The colour's ``--model_config_file``."""
        return self.models / colour / "models.config"

    def base_path(self, colour: Colour, pipeline: str) -> Path:
        """The folder of a pipeline's versions, as the agent sees it."""
        return self.models / colour / pipeline

    def served_base_path(self, colour: Colour, pipeline: str) -> Path:
        """The same as the model server sees it."""
        return self.served_models / colour / pipeline

    def incoming(self, colour: Colour) -> Path:
        """Downloads under way, on the same file system as the versions."""
        return self.models / colour / ".incoming"

    def placed_folder(self, colour: Colour, pipeline: str) -> Path:
        """What the agent remembers of the versions that it placed."""
        return self.state / "placed" / colour / pipeline
