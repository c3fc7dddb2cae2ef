"""A report page: self-contained, and nothing in it but what was shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.reports.page import (
    Badge,
    Bar,
    Code,
    Figure,
    Section,
    Table,
    Text,
    Verdict,
    number,
    render_page,
)

HOSTILE = "<script>alert('x')</script>&\"'"


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _page_showing(text: str) -> str:
    blocks: list[Any] = [
        Text(text),
        Code(text),
        Table((text,), [(text,), (Badge(Verdict.FAILED, text),)], caption=text),
        Figure("<svg></svg>", caption=text),
    ]
    sections = [Section(text, blocks), Section(text, blocks, folded=True)]
    return render_page(text, text, Verdict.WARNING, sections)


@given(st.text(min_size=1))
def test_no_value_becomes_markup(text: str) -> None:
    assert _Tags(_page_showing(text)).tags == _Tags(_page_showing("plain")).tags


def test_a_hostile_value_is_readable_as_it_is() -> None:
    assert HOSTILE in "".join(_Tags(_page_showing(HOSTILE)).text)


def test_a_page_asks_no_server_for_anything() -> None:
    page = _page_showing("plain")
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script", page)


def test_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells, its table has 2"):
        render_page("t", "s", None, [Section("x", [Table(("a", "b"), [("only",)])])])


def test_the_verdict_stands_beside_the_title() -> None:
    page = render_page("Gate", "flights", Verdict.FAILED, [])
    assert '<h1>Gate <span class="badge failed">failed</span></h1>' in page


def test_a_bar_never_leaves_its_cell() -> None:
    page = render_page("t", "s", None, [Section("x", [Table(("a",), [(Bar(3.0, 7.5),)])])])
    assert "width:100.0%" in page


@pytest.mark.parametrize(
    ("value", "shown"), [(76214, "76,214"), (0.68512345, "0.685123"), (float("nan"), "nan")]
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown
