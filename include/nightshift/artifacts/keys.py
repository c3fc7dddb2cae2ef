"""A step's key: the digest of what goes in, never of when, where or by whom it ran."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_LENGTH = 32
"""Hexadecimal digits kept of the SHA-256: 128 bits, beyond accidental collision."""


def canonical(value: Any) -> bytes:
    """One byte string for equal JSON values, whatever the order of their keys.

    Raises:
        ValueError: A float is NaN or infinite; such values have no JSON form.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def derive_key(
    *,
    step: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, Any],
    code: Mapping[str, str],
    nonce: str = "",
) -> str:
    """The key of a step's artifact.

    Args:
        step: The step's name.
        inputs: For each input name the *key* of the artifact that goes in.
        parameters: JSON values that the step reads.
        code: Digests of the step's code, the pipeline's files and the runtime's lock file.
        nonce: Anything, to make a new artifact on purpose ("force").

    Returns:
        ``KEY_LENGTH`` hexadecimal digits.
    """
    identity = {
        "step": step,
        "inputs": dict(inputs),
        "parameters": dict(parameters),
        "code": dict(code),
        "nonce": nonce,
    }
    return digest(canonical(identity))[:KEY_LENGTH]
