"""``expectations.yaml``: what is wrong is named with file, entry and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightshift.definition.folders import pipelines_root
from nightshift.errors import BadDefinitionError
from nightshift.validation.suite import Over, Rules, RuleSeverity, read_rules

LAKE = ("date", "sched_dep_time", "distance", "month")


def read(tmp_path: Path, text: str) -> Rules:
    folder = tmp_path / "flights"
    folder.mkdir()
    (folder / "expectations.yaml").write_text(text)
    return read_rules(folder, LAKE)


def test_a_short_entry_has_the_usual_meaning(tmp_path: Path) -> None:
    rules = read(
        tmp_path,
        "expectations:\n"
        "  - {expect: expect_column_values_to_not_be_null, arguments: {column: month}}\n",
    )
    [entry] = rules.expectations
    assert (entry.over, entry.severity) == (Over.WINDOW, RuleSeverity.ERROR)


def test_an_empty_file_has_no_rules(tmp_path: Path) -> None:
    assert read(tmp_path, "").expectations == ()


def test_the_definition_s_unique_columns_become_the_first_rule(tmp_path: Path) -> None:
    rules = read(tmp_path, "").with_unique(("date", "month"))
    [entry] = rules.expectations
    assert entry.expect == "expect_compound_columns_to_be_unique"
    assert entry.columns == ("date", "month")


def test_columns_that_rules_read_are_those_of_the_lake(tmp_path: Path) -> None:
    rules = read(
        tmp_path,
        "derived: {minute: sched_dep_time % 100}\n"
        "expectations:\n"
        "  - expect: expect_column_pair_values_to_be_equal\n"
        "    arguments: {column_A: minute, column_B: month}\n",
    )
    assert rules.columns == {"sched_dep_time", "month"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("expectations: [", "flights/expectations.yaml is not valid YAML"),
        ("expectation: []", "expectation: is not a known field; did you mean 'expectations'?"),
        ("expectations:\n  - {expect: x, ovr: window}", "expectations.0.ovr: is not a known field"),
        ("expectations:\n  - {arguments: {}}", "expectations.0.expect: is missing"),
        ("expectations:\n  - {expect: x, severity: fatal}", "expectations.0.severity"),
        (
            "expectations:\n  - {expect: x, arguments: {column: distanse}}",
            "expectations.1 (x): neither the lake nor 'derived' has a column 'distanse'; "
            "did you mean 'distance'?",
        ),
        ("derived: {m: mont % 2}", "derived.m: the lake has no column 'mont'; did you mean"),
        ("derived: {m: month %}", "derived.m: 'month %' is not an expression"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadDefinitionError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message


def test_the_shipped_rules_are_right() -> None:
    lake = ("date", "sched_dep_time", "sched_arr_time", "distance", "month", "origin", "arr_delay")
    assert len(read_rules(pipelines_root() / "flights", lake).expectations) == 8
