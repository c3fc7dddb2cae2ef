"""Import TensorFlow without the optional libraries that only its conveniences use.

tf_keras imports pandas and SciPy if it finds them, to accept data frames and to rotate images.
Neither is used here, and they are a fifth of the import's time in each of a night's processes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

OPTIONAL = ("pandas", "scipy")


def import_tensorflow() -> None:
    """Import TensorFlow (and, inside it, tf_keras); afterwards pandas and SciPy import as ever."""
    with absent(*OPTIONAL):
        import tensorflow  # noqa: F401
    # Strategies tell every all-reduce that they trace, several times over.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Make libraries that nothing has imported yet look as if they were not installed.

    A finder says so rather than a None in ``sys.modules``, which pyarrow takes for the library.
    """
    finder = _Absent(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Refuse the hidden names; leave all others to the usual finders (None)."""
        if fullname in self.names:
            raise ModuleNotFoundError(f"{fullname} is hidden here", name=fullname)
        return None
