"""Data Docs load nothing from outside."""

from __future__ import annotations

from pathlib import Path

from nightshift.validation.data_docs import make_self_contained

PAGE = """<html><head>
<link rel="stylesheet" href="https://maxcdn.bootstrapcdn.com/bootstrap.min.css"/>
<link rel="stylesheet" href="../static/styles/data_docs_default_styles.css" type="text/css">
<script src="https://code.jquery.com/jquery.min.js" integrity="x"></script>
<script>$(function () { vega() })</script>
</head><body><img src="https://great-expectations-web-assets.s3.us-east-2.amazonaws.com/logo.png?d=1">
<p>distance</p></body></html>"""


def test_what_is_outside_goes_and_what_was_said_stays(tmp_path: Path) -> None:
    page = tmp_path / "expectations" / "window.html"
    page.parent.mkdir()
    page.write_text(PAGE)
    make_self_contained(tmp_path)
    html = page.read_text()
    assert "http" not in html
    assert "<script" not in html
    assert "<p>distance</p>" in html
    assert 'href="../static/styles/nightshift.css"' in html
    assert (tmp_path / "static/styles/nightshift.css").is_file()


def test_the_first_page_links_to_every_other(tmp_path: Path) -> None:
    for name in ("expectations/window.html", "validations/window/run/1/lake.html"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(PAGE)
    make_self_contained(tmp_path)
    index = (tmp_path / "index.html").read_text()
    assert 'href="expectations/window.html"' in index
    assert 'href="validations/window/run/1/lake.html"' in index
