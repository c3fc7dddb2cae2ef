"""The finder of requests finds them, so that a page without any can be believed."""

from __future__ import annotations

import pytest

from tests.unit.reports.elsewhere import asks_of_elsewhere


@pytest.mark.parametrize(
    "page",
    [
        '<img src="https://example.org/a.png">',
        '<img src="a.png">',
        '<link rel="stylesheet" href="//example.org/a.css">',
        "<script>fetch('https://example.org')</script>",
        "<style>body{background:url(https://example.org/a.png)}</style>",
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background:url(a.png)">x</p>',
        '<svg><image href="https://example.org/a.png"/></svg>',
        '<svg><use xlink:href="https://example.org/a.svg#b"/></svg>',
        '<meta http-equiv="refresh" content="0; url=https://example.org">',
    ],
)
def test_what_a_browser_would_load_is_found(page: str) -> None:
    assert asks_of_elsewhere(page) != []


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://example.org">a link waits for a click</a>',
        '<img src="data:image/png;base64,AAAA">',
        "<p>https://example.org is only text, as is url(https://example.org)</p>",
        '<svg><use href="#b"/></svg>',
    ],
)
def test_what_stands_in_the_page_is_not(page: str) -> None:
    assert asks_of_elsewhere(page) == []
