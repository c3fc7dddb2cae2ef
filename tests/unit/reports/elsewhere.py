"""What a page would ask other addresses for, as a browser that opens it does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_LOADED = ("src", "srcset", "data", "poster", "background", "action", "formaction")
_LINKING = ("a", "area")
"""Elements whose ``href`` waits for a click; all others' are loaded."""


def asks_of_elsewhere(page: str) -> list[str]:
    """Every resource that is not within the page; plain links are none.

    Empty for a page that stands by itself: no image, script, style sheet, font or form of any
    address, be it on another host or on the same.
    """
    finder = _Finder()
    finder.feed(page)
    return finder.found


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "frame", "embed", "object", "base"):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            text = value or ""
            loads = name in _LOADED or (name.endswith("href") and tag not in _LINKING)
            if loads and not text.startswith(("data:", "#")):
                self.found.append(f"{tag} {name}={text}")
            if name == "style" or name.startswith("on"):
                self._look(f"{tag} {name}", text)
            if tag == "meta" and name == "http-equiv" and text.lower() == "refresh":
                self.found.append("meta refresh")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self._look("style", data)

    def _look(self, where: str, text: str) -> None:
        for url in re.findall(r"url\(\s*['\"]?([^)'\"]+)|@import\s+(\S+)", text):
            found = "".join(url)
            if not found.startswith(("data:", "#")):
                self.found.append(f"{where}: {found}")
