"""Names that every exported model has, whatever loads it."""

from __future__ import annotations

SIGNATURE = "serving_default"
OUTPUT = "probability"
