"""Each day is held to the schema by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pyarrow as pa
import pytest

from nightshift.data.pinned import PinnedFile, Split
from nightshift.validation.daily import DailyCheck
from nightshift.validation.findings import Finding, Severity
from nightshift.validation.limits import Limits

LAST = date(2013, 8, 31)


def pin(day: date, split: Split, part: int = 0) -> PinnedFile:
    return PinnedFile(
        date=day,
        split=split,
        key=f"flights/date={day}/part-{part}.parquet",
        version_id=None,
        sha256="",
        size=1,
        rows=1,
    )


def judge(limit: Limits, days: Sequence[Sequence[object]]) -> list[Finding]:
    """Findings about one column over days that end with LAST, the last two of them held out."""
    check = DailyCheck([limit])
    for ago, values in zip(reversed(range(len(days))), days, strict=True):
        file = pin(LAST - timedelta(ago), Split.HOLDOUT if ago < 2 else Split.TRAIN)
        check.add(file, pa.table({limit.column: values}))
    return check.findings()


def test_good_days_give_nothing() -> None:
    limit = Limits("dest", 1.0, frozenset({"ORD"}), 0.99)
    assert judge(limit, [["ORD"] * 10] * 3) == []


def test_a_spike_of_nulls_in_one_old_day_is_found_though_the_window_would_hide_it() -> None:
    limit = Limits("arr_delay", min_present=0.9)
    good: list[object] = [1] * 100
    [finding] = judge(limit, [good, [1, None], *[good] * 98])
    assert finding.severity is Severity.ERROR
    assert (finding.column, finding.where) == ("arr_delay", "2013-05-25")
    assert finding.file == "flights/date=2013-05-25/part-0.parquet"
    assert "1 of 2 rows are empty (50.0%), the schema allows 10.0%" in finding.text


def test_nan_counts_as_empty() -> None:
    [finding] = judge(Limits("distance", min_present=1.0), [[1.0, float("nan")]])
    assert finding.rule == "presence.min_fraction"


def test_a_number_out_of_range_is_told_with_its_value_and_the_range() -> None:
    [finding] = judge(Limits("distance", low=10, high=5100), [[500.0, 8019.4]])
    assert finding.value == "8019.4"
    assert finding.limit == "10 to 5100"
    assert "1 of 2 values are outside 10 to 5100: as far as 8019.4" in finding.text


def test_one_unlisted_value_in_a_closed_domain_is_an_error() -> None:
    limit = Limits("carrier", domain=frozenset({"UA"}))
    [finding] = judge(limit, [["UA"] * 999 + ["ZZ"]])
    assert finding.severity is Severity.ERROR
    assert "'ZZ' (1) not among the 1 listed values" in finding.text
    assert "closed" in finding.text


@pytest.mark.parametrize(
    ("unlisted", "severities"),
    [
        (1, [Severity.INFO, Severity.WARNING]),  # at the share: allowed, and told once
        (2, [Severity.ERROR]),
    ],
)
def test_an_open_domain_takes_new_values_up_to_its_share_of_a_day(
    unlisted: int, severities: list[Severity]
) -> None:
    limit = Limits("dest", domain=frozenset({"ORD"}), min_mass=0.99)
    findings = judge(limit, [["ORD"] * (100 - unlisted) + ["SBN"] * unlisted])
    assert [f.severity for f in findings] == severities


def test_a_value_that_was_new_weeks_ago_is_not_announced_again() -> None:
    limit = Limits("dest", domain=frozenset({"ORD"}), min_mass=0.5)
    findings = judge(limit, [["ORD", "ORD", "SBN"], ["ORD"], ["ORD"]])
    assert [f.severity for f in findings] == [Severity.INFO]


def test_new_values_of_several_held_out_days_are_one_warning() -> None:
    limit = Limits("dest", domain=frozenset({"ORD"}), min_mass=0.5)
    findings = judge(limit, [["ORD"], ["ORD", "ORD", "SBN"], ["ORD", "ILM"]])
    [warning] = [f for f in findings if f.severity is Severity.WARNING]
    assert "'ILM' (1), 'SBN' (1)" in warning.text or "'SBN' (1), 'ILM' (1)" in warning.text
    assert "on 2 days up to 2013-08-31" in warning.text


def test_a_day_of_several_files_is_one_day_and_names_the_worst_file() -> None:
    limit = Limits("dest", domain=frozenset({"ORD"}), min_mass=0.9)
    check = DailyCheck([limit])
    check.add(pin(LAST, Split.HOLDOUT, 0), pa.table({"dest": ["ORD"] * 97}))
    check.add(pin(LAST, Split.HOLDOUT, 1), pa.table({"dest": ["XXX"] * 3}))
    findings = check.findings()
    assert {f.severity for f in findings} == {Severity.INFO, Severity.WARNING}
    assert {f.file for f in findings} == {"flights/date=2013-08-31/part-1.parquet"}
