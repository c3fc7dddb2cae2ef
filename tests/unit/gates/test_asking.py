"""How often nights ask a person, and when that is an alarm."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightshift.definition.approval import Approval
from nightshift.gates.asking import Asking, count_asking

NIGHT = date(2013, 8, 31)
nights = st.lists(
    st.integers(-30, 30).map(lambda days: NIGHT + timedelta(days)), unique=True, max_size=40
)


@given(known=nights, last=st.integers(1, 40), data=st.data())
def test_only_the_last_nights_up_to_this_one_count(
    known: list[date], last: int, data: st.DataObject
) -> None:
    asked = set(data.draw(st.lists(st.sampled_from(known), unique=True)) if known else [])
    found = count_asking(known, asked, NIGHT, last)
    before = sorted({NIGHT, *(n for n in known if n <= NIGHT)})
    assert found.nights == min(last, len(before))
    assert found.asked == len(asked & set(before[-last:]))
    assert 0 <= found.share <= 1


def test_the_first_night_that_asks_is_no_alarm() -> None:
    assert Asking(asked=1, nights=1).alarm(Approval()) == ""


def test_more_than_the_declared_share_is_an_alarm_with_its_numbers() -> None:
    approval = Approval(nights=10, alarm_share=0.2)
    assert Asking(asked=2, nights=10).alarm(approval) == ""
    assert "3 of the last 10 nights" in Asking(asked=3, nights=10).alarm(approval)
    assert "20% of 10" in Asking(asked=3, nights=10).alarm(approval)
