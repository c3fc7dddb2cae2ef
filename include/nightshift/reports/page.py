"""One self-contained HTML page per report: no script, no request to anywhere, values escaped.

Standard library alone, so that every runtime can write a report::

    render_page(
        "Evaluation", "flights, night of 2013-08-31", Verdict.PASSED,
        [Section("Overall", [Table(("metric", "value"), [("auc", 0.6913)])])],
    )
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from nightshift.reports.style import CSS


class Verdict(StrEnum):
    """How a report, a rule or a row ended."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    INFO = "info"


@dataclass(frozen=True)
class Badge:
    """A coloured word in a cell; ``text`` replaces the verdict's own word."""

    verdict: Verdict
    text: str = ""


@dataclass(frozen=True)
class Bar:
    """A number in a cell with a bar of ``share`` (0 to 1) of the cell's width behind it."""

    value: float
    share: float


Cell = str | int | float | bool | None | Badge | Bar


@dataclass(frozen=True)
class Text:
    """One paragraph. Line breaks are kept."""

    text: str


@dataclass(frozen=True)
class Code:
    """Preformatted text, such as an error message or a schema's lines."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells below named columns; numbers are set to the right. Names may all be empty."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing. ``svg`` goes into the page as it is: escape the values inside it."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Link:
    """A line that opens another page: ``words`` with the address, then what is to be said."""

    words: str
    address: str
    text: str = ""


@dataclass(frozen=True)
class Figures:
    """Drawings side by side, as far as the page is wide."""

    figures: Sequence[Figure]


Block = Text | Code | Table | Figure | Figures | Link


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; ``folded`` sections open with a click."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


def render_page(
    title: str, subtitle: str, verdict: Verdict | Badge | None, sections: Sequence[Section]
) -> str:
    """The page as HTML text.

    Args:
        title: What the report is, such as ``Evaluation``.
        subtitle: Of what: pipeline and night.
        verdict: The badge beside the title, with words of its own or without; None for none.
        sections: What is shown, from top to bottom.

    Raises:
        ValueError: A table's row does not have as many cells as the table has columns.
    """
    badge = _badge(verdict if isinstance(verdict, Badge) else Badge(verdict)) if verdict else ""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} · {escape(subtitle)}</title><style>{CSS}</style></head>\n"
        f"<body><header><h1>{escape(title)} {badge}</h1><p>{escape(subtitle)}</p></header>\n"
        f"<main>\n{body}\n</main></body></html>\n"
    )


def number(value: float) -> str:
    """A number as reports show it: whole ones with separators, others to six digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    title = escape(section.title)
    if section.folded:
        return f"<section><details><summary>{title}</summary>\n{blocks}</details></section>"
    return f"<section><h2>{title}</h2>\n{blocks}</section>"


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Link(words, address, after):
            return f'<p><a href="{escape(address)}">{escape(words)}</a> {escape(after)}</p>'
        case Figure(svg, caption):
            return f"<figure>{svg}{_caption('figcaption', caption)}</figure>"
        case Figures(figures):
            return f'<div class="figures">{"".join(map(_block, figures))}</div>'
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    head = f"<thead><tr>{names}</tr></thead>\n" if any(table.columns) else ""
    rows = "\n".join(_row(row, len(table.columns)) for row in table.rows)
    return (
        f'<div class="scroll"><table>{_caption("caption", table.caption)}'
        f"{head}<tbody>{rows}</tbody></table></div>"
    )


def _row(row: Sequence[Cell], columns: int) -> str:
    if len(row) != columns:
        raise ValueError(f"a row has {len(row)} cells, its table has {columns} columns: {row!r}")
    return f"<tr>{''.join(_cell(cell) for cell in row)}</tr>"


def _cell(cell: Cell) -> str:
    match cell:
        case None:
            return '<td class="none">–</td>'
        case Badge():
            return f'<td class="tight">{_badge(cell)}</td>'
        case Bar(value, share):
            width = 100 * min(max(share, 0.0), 1.0)
            return (
                f'<td class="number bar"><i style="width:{width:.1f}%"></i>'
                f"<span>{number(value)}</span></td>"
            )
        case bool():
            return f"<td>{'yes' if cell else 'no'}</td>"
        case int() | float():
            return f'<td class="number">{number(cell)}</td>'
        case _:
            return f"<td>{escape(str(cell))}</td>"


def _badge(badge: Badge) -> str:
    return f'<span class="badge {badge.verdict}">{escape(badge.text or badge.verdict)}</span>'


def _caption(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>" if text else ""
