"""Edit ``schema.pbtxt`` as text, so that comments and order stay where people put them."""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|#[^\n]*|[{}]')
_NAME = r'name:\s*"{name}"'


class SchemaText:
    """The text of one schema; every method changes :attr:`text` in one place."""

    def __init__(self, text: str) -> None:
        self.text = text

    def add_values(self, column: str, values: list[str], why: str) -> None:
        """List more values in a column's domain, shared or its own."""
        domain = re.search(r'\bdomain:\s*"([^"]*)"', self._plain(self._feature(column)))
        if domain:
            span = self._block("string_domain", domain[1])
        else:
            span = self._inner(self._feature(column), "string_domain")
        lines = "".join(f"  value: {json.dumps(v)}  # {why}\n" for v in sorted(values))
        at = span[1] - 1
        before = self.text[:at].rstrip(" ")
        self.text = f"{before}{'' if before.endswith(chr(10)) else chr(10)}{lines}{self.text[at:]}"

    def set_bound(self, column: str, bound: str, value: float) -> None:
        """Change ``min`` or ``max`` of a column's domain of numbers."""
        feature = self._feature(column)
        kind = "int_domain" if "int_domain" in self._plain(feature) else "float_domain"
        shown = f"{value:.0f}" if kind == "int_domain" else f"{value:.10g}"
        self._replace(self._inner(feature, kind), rf"\b{bound}:\s*[^\s}}#]+", f"{bound}: {shown}")

    def set_presence(self, column: str, share: float) -> None:
        """Allow rows without a value: a fixed shape, which allows none, gives way."""
        shape = self._inner(self._feature(column), "shape")
        if shape != (0, 0):
            self.text = (
                f"{self.text[: shape[0]]}value_count {{ min: 1 max: 1 }}{self.text[shape[1] :]}"
            )
        presence = self._inner(self._feature(column), "presence")
        self._replace(presence, r"\bmin_fraction:\s*[^\s}#]+", f"min_fraction: {share:.2f}")

    def append(self, block: str) -> None:
        """Add a block at the end."""
        self.text = f"{self.text.rstrip()}\n{block}"

    def _feature(self, column: str) -> tuple[int, int]:
        return self._block("feature", column)

    def _block(self, kind: str, name: str) -> tuple[int, int]:
        """Start and end of a top block of that name.

        Raises:
            KeyError: There is none.
        """
        for match in re.finditer(rf"^{kind}\s*:?\s*\{{", self.text, re.MULTILINE):
            span = match.start(), self._end(match.end())
            if re.search(_NAME.format(name=re.escape(name)), self._plain(span)):
                return span
        raise KeyError(name)

    def _inner(self, span: tuple[int, int], kind: str) -> tuple[int, int]:
        """Start and end of a block within another; (0, 0) where there is none."""
        match = re.search(rf"\b{kind}\s*:?\s*\{{", self._plain(span))
        if match is None:
            return 0, 0
        return span[0] + match.start(), self._end(span[0] + match.end())

    def _end(self, at: int) -> int:
        """Just behind the brace that closes the block which is open at a place."""
        depth = 1
        for token in _TOKEN.finditer(self.text, at):
            depth += {"{": 1, "}": -1}.get(token[0], 0)
            if depth == 0:
                return token.end()
        return len(self.text)

    def _plain(self, span: tuple[int, int]) -> str:
        """The text of a span with comments blanked, so that places stay."""
        part = self.text[span[0] : span[1]]
        return _TOKEN.sub(lambda t: " " * len(t[0]) if t[0].startswith("#") else t[0], part)

    def _replace(self, span: tuple[int, int], pattern: str, value: str) -> None:
        part = self.text[span[0] : span[1]]
        self.text = (
            self.text[: span[0]] + re.sub(pattern, value, part, count=1) + (self.text[span[1] :])
        )


def is_blank(text: str) -> bool:
    """Whether the schema is still the template's, with places to fill in."""
    return any("BLANK" in line.partition("#")[0] for line in text.splitlines())
