"""Reports and artifacts from S3, for people who are logged in to Airflow."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from airflow.api_fastapi.core_api.security import requires_authenticated
from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse, Response

from nightshift_airflow.routes.addresses import PREFIX

if TYPE_CHECKING:
    from nightshift.artifacts.store import ArtifactStore

# Only what steps publish: never the release log, pins or another bucket.
_ARTIFACT = re.compile(r"^[a-z][a-z0-9_]*/artifacts/[a-z_]+/[0-9a-f]+$")
_OBJECT = re.compile(
    r"^(?P<artifact>[a-z][a-z0-9_]*/artifacts/[a-z_]+/[0-9a-f]+)/(?P<attempt>[0-9a-f]+)"
    r"/(?P<name>[\w./ %=-]+)$"
)
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_RECORDING = re.compile(
    r"^(?P<pipeline>[a-z][a-z0-9_]*)/runs/(?P<night>[0-9-]+)/tensorboard/[0-9a-f]+$"
)
# A report is data: it may style itself, but runs as nobody and asks no other address.
_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; font-src data:"
)


def objects_router() -> APIRouter:
    """The pages; every one asks for Airflow's login."""
    router = APIRouter(dependencies=[Depends(requires_authenticated())])
    router.add_api_route("/objects/{key:path}", show_object, methods=["GET"])
    router.add_api_route("/artifacts/{key:path}", show_artifact, methods=["GET"])
    router.add_api_route("/cards/{pipeline}/{version}", show_card, methods=["GET"])
    router.add_api_route("/recordings/{key:path}", show_recording, methods=["GET"])
    router.add_api_route("/releases/{pipeline}", show_release, methods=["GET"])
    return router


def show_object(key: str) -> Response:
    """One file that a step published, opened where it is encrypted."""
    from nightshift.artifacts.store import content_type
    from nightshift.storage.s3 import AbsentError

    match = _OBJECT.match(key)
    if not match or ".." in key:
        raise HTTPException(404, "Only files of artifacts are shown here.")
    try:
        body = _published(match["artifact"], match["attempt"], match["name"])
    except AbsentError:
        raise HTTPException(404, f"There is no {key}; retention may have removed it.") from None
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type=content_type(key), headers=headers)


def _published(artifact: str, attempt: str, name: str) -> bytes:
    """A file's plain bytes. A failed attempt's files have no manifest and are never encrypted."""
    store = _store()
    pipeline, _, kind, key = artifact.split("/")
    found = store.find(pipeline, kind, key)
    if found and found.manifest.encrypted_with and found.manifest.attempt == attempt:
        return store.read(found, name)
    return store.bucket.get(f"{artifact}/{attempt}/{name}").body


def show_artifact(key: str) -> HTMLResponse:
    """An artifact's manifest, with a link to each of its files."""
    if not _ARTIFACT.match(key):
        raise HTTPException(404, "Expected <pipeline>/artifacts/<kind>/<key>.")
    pipeline, _, kind, name = key.split("/")
    found = _store().find(pipeline, kind, name)
    if found is None:
        raise HTTPException(404, f"There is no committed artifact {key}.")
    base = f"{PREFIX}/objects/{key}/{found.manifest.attempt}"
    rows = "".join(
        f'<tr><td><a href="{base}/{html.escape(n)}">{html.escape(n)}</a></td>'
        f"<td>{f.size:,}</td><td><code>{f.sha256[:16]}…</code></td></tr>"
        for n, f in sorted(found.manifest.files.items())
    )
    facts = html.escape(found.manifest.model_copy(update={"files": {}}).model_dump_json(indent=2))
    page = (
        "<!doctype html><meta charset=utf-8><title>Artifact</title>"
        "<style>body{font:15px system-ui;margin:2rem;max-width:70rem}td{padding:.2rem 1rem}"
        "pre{background:#f4f4f5;color:#18181b;padding:1rem;overflow:auto}</style>"
        f"<h1>{html.escape(kind)} <small>{html.escape(name)}</small></h1>"
        f"<table>{rows}</table><h2>Manifest</h2><pre>{facts}</pre>"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def show_card(pipeline: str, version: int) -> Response:
    """The model card of a version."""
    from nightshift.artifacts.store import content_type
    from nightshift.card.files import PAGE_FILE
    from nightshift.tracking.registry import Registry

    store = _store()
    card = Registry(store.bucket, pipeline).card(version) if _NAME.match(pipeline) else None
    if card is None:
        raise HTTPException(
            404, f"{pipeline} version {version} has no model card; the task 'card' makes it."
        )
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(
        store.read(store.open(card), PAGE_FILE), media_type=content_type(PAGE_FILE), headers=headers
    )


def show_recording(key: str) -> HTMLResponse:
    """What a training recorded for TensorBoard: its files, and the command that shows them."""
    match = _RECORDING.match(key)
    if not match:
        raise HTTPException(404, "Expected <pipeline>/runs/<night>/tensorboard/<key>.")
    bucket = _store().bucket
    rows = "".join(
        f"<tr><td>{html.escape(found.key.removeprefix(key + '/'))}</td><td>{found.size:,}</td></tr>"
        for found in bucket.list(f"{key}/")
    )
    command = f"./nightshift tensorboard {match['pipeline']} --night {match['night']}"
    page = (
        "<!doctype html><meta charset=utf-8><title>TensorBoard</title>"
        "<style>body{font:15px system-ui;margin:2rem;max-width:70rem}td{padding:.2rem 1rem}"
        "pre{background:#f4f4f5;color:#18181b;padding:1rem;overflow:auto}</style>"
        f"<h1>{html.escape(match['pipeline'])} <small>{html.escape(match['night'])}</small></h1>"
        "<p>TensorBoard runs where you are, not here. It shows curves, histograms, the graph and a "
        f"profile after:</p><pre>{html.escape(command)}</pre>"
        f"<p>It reads these files of <code>s3://{html.escape(bucket.name)}/{html.escape(key)}"
        f"</code>:</p><table>{rows or '<tr><td>none yet</td></tr>'}</table>"
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def show_release(pipeline: str) -> HTMLResponse:
    """The newest release of a pipeline; the page loads itself again while it is under way."""
    from nightshift.release import requests
    from nightshift.release.page import release_html
    from nightshift.release.view import view

    if not _NAME.match(pipeline):
        raise HTTPException(404, "Expected the name of a pipeline.")
    bucket = _store().bucket
    page = release_html(view(bucket, requests.record(bucket, pipeline)))
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _store() -> ArtifactStore:
    from nightshift_airflow.hooks.storage import StorageHook

    return StorageHook().get_conn()
