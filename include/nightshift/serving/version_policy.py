"""Which of the versions on disk a model should serve: latest, all or specific.

The rules are those of TensorFlow Serving's `file_system_storage_path_source.cc`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LARGEST_VERSION: Final = 2**63 - 1


@dataclass(frozen=True)
class LatestVersions:
    """The highest `count` numbers found on disk (TensorFlow Serving's default, count 1)."""

    count: int = 1

    def choose(self, on_disk: Iterable[int]) -> frozenset[int]:
        """The versions to serve out of those on disk."""
        return frozenset(sorted(on_disk, reverse=True)[: max(self.count, 1)])


@dataclass(frozen=True)
class AllVersions:
    """Every version found on disk."""

    def choose(self, on_disk: Iterable[int]) -> frozenset[int]:
        """The versions to serve out of those on disk."""
        return frozenset(on_disk)


@dataclass(frozen=True)
class SpecificVersions:
    """The named versions, each as soon as it is on disk."""

    versions: frozenset[int]

    def choose(self, on_disk: Iterable[int]) -> frozenset[int]:
        """The versions to serve out of those on disk."""
        return self.versions & frozenset(on_disk)


VersionPolicy = LatestVersions | AllVersions | SpecificVersions


def find_versions(base_path: Path) -> dict[int, Path]:
    """The numeric sub-folders of a base path, by version number.

    A folder under any other name (a copy still being written, say) is not a version. Of two
    folders with the same number (`1` and `01`) the last in alphabetical order counts, as in
    TensorFlow Serving.

    Raises:
        OSError: The base path does not exist or cannot be listed.
    """
    versions: dict[int, Path] = {}
    for child in sorted(base_path.iterdir()):
        version = _version_number(child.name)
        if version is not None and child.is_dir():
            versions[version] = child
    return versions


def _version_number(name: str) -> int | None:
    if not (name.isascii() and name.isdigit()):
        return None
    number = int(name)
    return number if number <= _LARGEST_VERSION else None
