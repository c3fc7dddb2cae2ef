"""The digest of a step's code follows its imports and ignores what does not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nightshift.steps import code
from nightshift.steps.catalog import STEPS

Write = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    def write(name: str, text: str) -> None:
        code.code_digest.cache_clear()
        path = tmp_path / "nightshift" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)

    monkeypatch.setattr(code, "_ROOT", tmp_path)
    write("step", "from nightshift.part import value\n\n\ndef run():\n    return value\n")
    write("part", "value = 1\n")
    return write


def digest() -> str:
    code.code_digest.cache_clear()
    return code.code_digest("nightshift.step")


def test_a_change_in_an_imported_module_counts(package: Write) -> None:
    before = digest()
    package("part", "value = 2\n")
    assert digest() != before


def test_an_import_inside_a_function_counts(package: Write) -> None:
    package("part", "def value():\n    from nightshift.deep import x\n    return x\n")
    package("deep", "x = 1\n")
    before = digest()
    package("deep", "x = 2\n")
    assert digest() != before


def test_comments_docstrings_and_spacing_do_not_count(package: Write) -> None:
    before = digest()
    package("part", '"""Words."""\n\n# more words\nvalue   =   1\n')
    package(
        "step", 'from nightshift.part import value\ndef run():\n    "Words."\n    return value\n'
    )
    assert digest() == before


def test_an_unrelated_module_does_not_count(package: Write) -> None:
    before = digest()
    package("other", "value = 3\n")
    assert digest() == before


@pytest.mark.parametrize("name", sorted(STEPS))
def test_every_step_has_a_module_with_a_digest(name: str) -> None:
    module = STEPS[name].module
    assert module in dict(code.closure(module))
    assert "nightshift.steps.contract" in dict(code.closure(module))
