"""The digest of a step's code: its module and every Nightshift module that it imports.

Found by reading the sources, never by importing them: the scheduler computes keys too, and must
not import TensorFlow for it. Comments, formatting and docstrings do not count, so that a better
comment does not retrain every model.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from nightshift.artifacts.keys import canonical, digest

_ROOT = Path(__file__).parents[2]
_PACKAGE = "nightshift"


@cache
def code_digest(module: str) -> str:
    """SHA-256 over the meaning of ``module`` and its Nightshift imports, however deep."""
    return digest(canonical({name: _meaning(path) for name, path in sorted(closure(module))}))


def closure(module: str) -> frozenset[tuple[str, Path]]:
    """Name and file of ``module`` and of all Nightshift modules it imports, however deep."""
    if _file_of(module) is None:
        raise ModuleNotFoundError(f"there is no module {module} below {_ROOT}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting.extend(_imports(path, name))
    return frozenset(found.items())


def _file_of(module: str) -> Path | None:
    base = _ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(path: Path, module: str) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == _PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            yield str(node.module)
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"{module}: relative imports are not followed; name the package")


def _meaning(path: Path) -> str:
    tree = _tree(path)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
