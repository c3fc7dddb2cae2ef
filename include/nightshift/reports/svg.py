"""What inline drawings share: a plane with scales, ticks, escaped text. Colours are the style
sheet's classes, so that a drawing follows the page into the dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_TICK = 4
"""Pixels between the frame and a tick's number."""


@dataclass(frozen=True)
class Plane:
    """A rectangle of a drawing, in pixels, that shows a range of x and of y.

    Attributes:
        left, top, width, height: Where it is.
        x, y: The lowest and the highest value shown; equal ones have no scale.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The bottom edge."""
        return self.top + self.height

    def across(self, x: float) -> float:
        """The pixel of an x, never outside."""
        return self.left + self.width * _share(x, self.x)

    def down(self, y: float) -> float:
        """The pixel of a y, never outside."""
        return self.bottom - self.height * _share(y, self.y)

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """The ``points`` of a polyline."""
        pairs = zip(xs, ys, strict=True)
        return " ".join(f"{self.across(x):.1f},{self.down(y):.1f}" for x, y in pairs)

    def frame(self) -> str:
        """Its outline."""
        return rectangle(self.left, self.top, self.width, self.height, "axis")

    def ticks_below(self, values: Sequence[float], name: str = "") -> str:
        """Numbers under the plane, and what they are of."""
        y = self.bottom + 14 + _TICK
        told = text((self.left + self.right) / 2, y + 20, name, "middle") if name else ""
        return "".join(text(self.across(v), y, f"{v:g}", "middle") for v in values) + told

    def ticks_left(self, values: Sequence[float], name: str = "") -> str:
        """Numbers left of the plane, and what they are of, upwards."""
        told = ""
        if name:
            turned = (
                f"translate({self.left - 36:.0f} {(self.top + self.bottom) / 2:.0f}) rotate(-90)"
            )
            told = f'<text transform="{turned}" text-anchor="middle">{escape(name)}</text>'
        numbers = (text(self.left - _TICK - 2, self.down(v) + 4, f"{v:g}", "end") for v in values)
        return "".join(numbers) + told

    def diagonal(self) -> str:
        """The dotted line on which x equals y."""
        low, high = max(self.x[0], self.y[0]), min(self.x[1], self.y[1])
        return line(self.across(low), self.down(low), self.across(high), self.down(high), "fair")


def drawing(width: float, height: float, label: str, *parts: str) -> str:
    """The whole drawing; ``label`` says to who cannot see it what it shows."""
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, content: str, anchor: str = "start", style: str = "") -> str:
    """One line of text, escaped."""
    told = f' class="{style}"' if style else ""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchored}{told}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    """A straight line."""
    return f'<path class="{style}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def dot(x: float, y: float, style: str, radius: float = 4.0, title: str = "") -> str:
    """A filled circle; ``title`` is shown when pointed at."""
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">{told}</circle>'


def rectangle(
    x: float, y: float, width: float, height: float, style: str, *, opacity: float = 1.0
) -> str:
    """A rectangle."""
    faint = "" if opacity >= 1 else f' fill-opacity="{opacity:.2f}"'
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"{faint}/>'
    )


def legend(x: float, y: float, entries: Sequence[tuple[str, str]]) -> str:
    """A line of its style before each name, one below the other."""
    return "".join(
        line(x, y + 20 * n, x + 24, y + 20 * n, style) + text(x + 32, y + 4 + 20 * n, name)
        for n, (style, name) in enumerate(entries)
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values between two others, about so many (1, 2 or 5 times a power of ten apart)."""
    if not high > low:
        return [low]
    unit = 10.0 ** math.floor(math.log10((high - low) / about))
    step = min((m * unit for m in (1, 2, 5, 10)), key=lambda s: abs((high - low) / s - about))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # From whole numbers of steps: adding steps up would show 0.30000000000000004.
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _share(value: float, of: tuple[float, float]) -> float:
    low, high = of
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5
