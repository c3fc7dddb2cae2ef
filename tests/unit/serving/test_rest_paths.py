"""What a REST path names."""

from __future__ import annotations

import pytest

from nightshift.serving.errors import ServingError
from nightshift.serving.rest_api import Target, parse_target


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/v1/models/a:predict", Target("a", None, None, "predict")),
        ("POST", "/v1/models/a/versions/7:predict", Target("a", 7, None, "predict")),
        (
            "POST",
            "/v1/models/a/labels/live:predict",
            Target("a", None, "live", "predict"),
        ),
        ("POST", "/V1/Models/a:PREDICT", Target("a", None, None, "predict")),
        (
            "POST",
            "/v1/models/a%20b%2Fc:predict",
            Target("a b/c", None, None, "predict"),
        ),
        ("GET", "/v1/models/a", Target("a", None, None, "")),
        ("GET", "/v1/models/a/versions/7", Target("a", 7, None, "")),
        ("GET", "/v1/models/a/metadata", Target("a", None, None, "metadata")),
        (
            "GET",
            "/v1/models/a/labels/live/metadata",
            Target("a", None, "live", "metadata"),
        ),
    ],
)
def test_paths(method: str, path: str, target: Target) -> None:
    assert parse_target(method, path) == target


@pytest.mark.parametrize(
    ("method", "path", "sense"),
    [
        ("GET", "/v1/models/a:predict", "Malformed request: GET /v1/models/a:predict"),
        ("PUT", "/v1/models/a:predict", "Malformed request: PUT"),
        ("POST", "/v1/models/a/versions/1/labels/b:predict", "Malformed request"),
        ("GET", "/v1/models", "Missing model name in request."),
        ("GET", f"/v1/models/a/versions/{2**63}", "Failed to convert version"),
    ],
)
def test_paths_that_name_nothing(method: str, path: str, sense: str) -> None:
    with pytest.raises(ServingError, match=sense):
        parse_target(method, path)
