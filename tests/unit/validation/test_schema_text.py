"""A schema is edited in one place at a time; all else stays as people wrote it."""

from __future__ import annotations

import pytest

from nightshift.definition.folders import pipelines_root
from nightshift.validation.schema_text import SchemaText, is_blank

TEXT = """\
# Brackets in comments { do not count.
feature {
  name: "city"  # where "to"
  domain: "cities"
  presence { min_fraction: 1.0 min_count: 1 }
  shape { dim { size: 1 } }
}
feature {
  name: "price"
  value_count { min: 1 max: 1 }
  float_domain { min: 0 max: 10.5 }  # min: 3 was too much
  presence { min_fraction: 0.5 min_count: 1 }
}
feature {
  name: "colour"
  string_domain { value: "red" }
}
string_domain {
  name: "cities"
  value: "Bern"  # the first }
}
"""


def changed(edited: SchemaText) -> list[tuple[str, str]]:
    """The lines that differ, before and after, where none was added."""
    pairs = zip(TEXT.splitlines(), edited.text.splitlines(), strict=True)
    return [(before.strip(), now.strip()) for before, now in pairs if before != now]


def test_values_are_listed_at_the_end_of_a_shared_domain_with_a_reason() -> None:
    edited = SchemaText(TEXT)
    edited.add_values("city", ["Ulm", 'A"B'], "seen in May")
    assert edited.text == TEXT.replace(
        '  value: "Bern"  # the first }\n',
        '  value: "Bern"  # the first }\n  value: "A\\"B"  # seen in May\n'
        '  value: "Ulm"  # seen in May\n',
    )


def test_values_are_listed_in_a_column_s_own_domain() -> None:
    edited = SchemaText(TEXT)
    edited.add_values("colour", ["blue"], "seen")
    assert 'string_domain { value: "red"\n  value: "blue"  # seen\n}' in edited.text


def test_a_bound_is_changed_in_its_domain_alone() -> None:
    edited = SchemaText(TEXT)
    edited.set_bound("price", "min", -2.25)
    edited.set_bound("price", "max", 99)
    assert changed(edited) == [
        (
            "float_domain { min: 0 max: 10.5 }  # min: 3 was too much",
            "float_domain { min: -2.25 max: 99 }  # min: 3 was too much",
        )
    ]


def test_allowing_empty_values_replaces_a_fixed_shape() -> None:
    edited = SchemaText(TEXT)
    edited.set_presence("city", 0.97)
    assert changed(edited) == [
        (
            "presence { min_fraction: 1.0 min_count: 1 }",
            "presence { min_fraction: 0.97 min_count: 1 }",
        ),
        ("shape { dim { size: 1 } }", "value_count { min: 1 max: 1 }"),
    ]


def test_a_column_that_is_not_described_is_no_place() -> None:
    with pytest.raises(KeyError, match="pric"):
        SchemaText(TEXT).set_bound("pric", "max", 1)


def test_only_the_template_is_blank() -> None:
    assert is_blank('feature { name: "BLANK" }  # a column')
    assert not is_blank("# Fill in every BLANK")
    for folder in pipelines_root().iterdir():
        assert not is_blank((folder / "schema.pbtxt").read_text(encoding="utf-8"))
