"""Which folders are versions, and which of them are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.serving.version_policy import (
    AllVersions,
    LatestVersions,
    SpecificVersions,
    VersionPolicy,
    find_versions,
)


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (LatestVersions(), {10}),
        (LatestVersions(2), {9, 10}),
        (LatestVersions(5), {1, 9, 10}),
        (AllVersions(), {1, 9, 10}),
        (SpecificVersions(frozenset({1, 9, 11})), {1, 9}),
    ],
)
def test_policy_chooses_from_what_is_on_disk(policy: VersionPolicy, chosen: set[int]) -> None:
    assert policy.choose([1, 9, 10]) == chosen


def test_only_numeric_folders_are_versions(tmp_path: Path) -> None:
    for name in ("1", "007", "2.partial", "tmp-3", "-4", "\N{FULLWIDTH DIGIT NINE}", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "5").touch()

    assert find_versions(tmp_path) == {1: tmp_path / "1", 7: tmp_path / "007"}


def test_a_base_path_that_is_away_is_an_error_and_not_an_empty_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        find_versions(tmp_path / "away")
