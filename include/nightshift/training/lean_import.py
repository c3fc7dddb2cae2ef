"""Import TensorFlow without the optional libraries that only its conveniences use.

tf_keras imports pandas and SciPy if it finds them, to accept data frames and to rotate images.
Neither is used here, and they are a fifth of the import's time in each of a night's processes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

OPTIONAL = ("pandas", "scipy")


def import_tensorflow() -> None:
    """Import TensorFlow (and, inside it, tf_keras); afterwards pandas and SciPy import as ever."""
    with absent(*OPTIONAL):
        import tensorflow  # noqa: F401


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Make libraries that nothing has imported yet look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:  # None is Python's own sign for "not installed"
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            if name in sys.modules and sys.modules[name] is None:
                del sys.modules[name]
