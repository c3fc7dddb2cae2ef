"""The operators that a released model may have: the list ``allowed.txt`` beside this file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from nightshift.operators.saved_model import reachable_operators

SAVED_MODEL_FILE = "saved_model/saved_model.pb"
# TensorFlow loads these in place of saved_model.pb, or when it is missing.
_OTHER_FORMS = ("saved_model/saved_model.cpb", "saved_model/saved_model.pbtxt")
# What a loader runs on the model's own folder, and a request may not.
_RESTORING = frozenset({"RestoreV2", "AssignVariableOp"})


@cache
def allowed_operators() -> frozenset[str]:
    """The list."""
    lines = Path(__file__).with_name("allowed.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def forbidden_operators(saved_model: bytes) -> tuple[str, ...]:
    """Operators of a SavedModel that are not on the list, sorted (raises BadDataError)."""
    found, allowed = reachable_operators(saved_model), allowed_operators()
    return tuple(sorted((found.asked - allowed) | (found.restored - allowed - _RESTORING)))


def unread_forms(names: Iterable[str]) -> tuple[str, ...]:
    """Files of an artifact that a server would load unseen."""
    there = set(names)
    return tuple(name for name in _OTHER_FORMS if name in there)
