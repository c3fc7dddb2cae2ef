"""How properties are tested: without deadlines, for a busy machine is no wrong result."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nightshift", deadline=None)
settings.load_profile("nightshift")
