"""Optional libraries are out of sight for one import, and back afterwards."""

from __future__ import annotations

import importlib
import sys

import pytest

from nightshift.training.lean_import import absent


def test_a_hidden_library_cannot_be_imported_until_the_end() -> None:
    sys.modules.pop("this", None)
    with absent("wave"), pytest.raises(ImportError):
        importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"


def test_a_library_in_use_is_left_alone() -> None:
    with absent("json"):
        assert importlib.import_module("json").dumps({}) == "{}"
