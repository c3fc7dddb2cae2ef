"""Great Expectations' Data Docs without a request to anywhere.

As generated, each page loads Bootstrap, jQuery, Vega, Font Awesome and a logo from seven addresses
outside. A report about a company's data should open where no such address is reachable, and tell
nobody that it was opened: those tags go, and one small style sheet takes their place.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

_STYLE_FILE = "static/styles/nightshift.css"
_OUTSIDE = re.compile(
    r"<script\b[^>]*\bsrc=[\"']https?://[^>]*>\s*</script>|<link\b[^>]*\bhref=[\"']https?://[^>]*>",
    re.IGNORECASE,
)
_LOGO = re.compile(r"https://great-expectations-web-assets\.s3[^\"')]*?(?=[\"')])")
_INLINE_SCRIPT = re.compile(
    r"<script\b(?![^>]*\bsrc=)[^>]*>.*?</script>", re.DOTALL | re.IGNORECASE
)
_UNUSED = ("*.gif", "*.otf", "iterative-dev-loop.png")
"""Tutorial pictures and fonts: 4 MB that no page needs."""

_CSS = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2330;margin:0;padding:1rem 1.5rem}
.container,.container-fluid{max-width:80rem;margin:0 auto}
.row{display:flex;flex-wrap:wrap;gap:1rem}.col-lg-2,.col-md-2{flex:0 0 14rem}
[class*="col-"]{min-width:0}.col-lg-10,.col-md-10,.col-12{flex:1 1 40rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{border-bottom:1px solid #dfe3ea;padding:.35rem .6rem;text-align:left;vertical-align:top}
.card,.alert{border:1px solid #dfe3ea;border-radius:6px;padding:.75rem;margin:.5rem 0}
.card-header{font-weight:600}.badge{border:1px solid;border-radius:1rem;padding:0 .5rem}
.text-success,.badge-success{color:#1a7f46}.text-danger,.badge-danger{color:#c4262e}
.text-warning,.badge-warning{color:#9a6700}
.fa-check-circle::before{content:"\\2713"}.fa-times::before{content:"\\2717"}
.fa-exclamation-triangle::before{content:"!"}
.modal,.navbar-toggler,.btn,footer,.popover,[id*="walkthrough"]{display:none}
img{max-height:2.5rem}nav ol,nav ul{list-style:none;padding:0;display:flex;gap:.5rem;flex-wrap:wrap}
pre,code{background:#f6f7f9;white-space:pre-wrap;overflow-wrap:anywhere}
"""


def make_self_contained(site: Path) -> None:
    """Rewrite every page of a site so that it loads nothing from outside the site."""
    (site / "index.html").write_text(_index(site), encoding="utf-8")
    style = site / _STYLE_FILE
    style.parent.mkdir(parents=True, exist_ok=True)
    style.write_text(_CSS, encoding="utf-8")
    for page in site.rglob("*.html"):
        up = "../" * len(page.relative_to(site).parent.parts)
        page.write_text(_rewrite(page.read_text(encoding="utf-8"), up), encoding="utf-8")
    for pattern in _UNUSED:
        for unused in site.rglob(pattern):
            unused.unlink()


def _index(site: Path) -> str:
    """The first page as plain links: the generated one builds its table by a script."""
    results = "\n".join(_link(p, site) for p in sorted(site.glob("validations/**/*.html")))
    suites = "\n".join(_link(p, site) for p in sorted(site.glob("expectations/**/*.html")))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        "</head><body><h1>Data Docs</h1><p>What Great Expectations found.</p>"
        f"<h2>Results</h2><ul>{results}</ul><h2>Rules</h2><ul>{suites}</ul></body></html>"
    )


def _link(page: Path, site: Path) -> str:
    name = page.relative_to(site).as_posix()
    parts = name.split("/")
    title = parts[1].removesuffix(".html").replace("_", " ")
    html = page.read_text(encoding="utf-8")
    status = ""
    if parts[0] == "validations":
        failed = re.search(r"Status:.{0,200}?\bFailed\b", html, re.S)
        word, colour = ("broken rules", "danger") if failed else ("all rules hold", "success")
        status = f' <span class="badge badge-{colour}">{word}</span>'
    return f'<li><a href="{escape(name)}">{escape(title)}</a>{status}</li>'


def _rewrite(html: str, up: str) -> str:
    html = _OUTSIDE.sub("", html)
    # What is left of the scripts only drives the libraries that are gone.
    html = _INLINE_SCRIPT.sub("", html)
    html = _LOGO.sub(f"{up}static/images/logo-long.png", html)
    return html.replace("</head>", f'<link rel="stylesheet" href="{up}{_STYLE_FILE}"></head>', 1)
