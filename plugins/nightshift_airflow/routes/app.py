"""All routes under ``/nightshift``: pages behind Airflow's login, metrics behind a token."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from nightshift.errors import ErrorKind, NightshiftError
from nightshift_airflow.routes.metrics import metrics_router
from nightshift_airflow.routes.objects import objects_router


def nightshift_app() -> FastAPI:
    """What Airflow's API server mounts."""
    app = FastAPI(title="Nightshift", openapi_url=None)
    app.include_router(objects_router())
    app.include_router(metrics_router())
    app.add_exception_handler(NightshiftError, _failed)
    return app


def _failed(request: Request, error: Exception) -> JSONResponse:
    away = isinstance(error, NightshiftError) and error.kind is ErrorKind.UNAVAILABLE
    return JSONResponse({"detail": str(error)}, status_code=503 if away else 500)
