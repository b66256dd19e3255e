"""The dashboard's web application: one page, its snapshot as JSON, reports, and three commands."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import re
from collections.abc import Collection
from functools import cache
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from swt_core.clock import Clock
from swt_core.errors import ConfigError, StateError
from swt_core.json_text import to_json
from swt_core.logs import get_logger
from swt_core.workspace import Workspace
from swt_ops.dashboard.control import COMMANDS
from swt_ops.dashboard.security import LOOPBACK, REPORT_POLICY, Guard, command_refusal
from swt_ops.dashboard.verdicts import REPORT_FILES, report_file
from swt_ops.dashboard.view import Observer

_log = get_logger(__name__)

PAGE: Final = "index.html"
_ASSETS: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
PLOTLY: Final = "plotly.min.js"


def dashboard_app(
    workspace: Workspace, clock: Clock, *, token: str | None = None, hosts: Collection[str] = ()
) -> Starlette:
    """The application; with a ``token`` the page may also start, stop and halt the trader.

    Args:
        hosts: names it may be called by, besides those of this machine.
    """
    observer = Observer(workspace, clock, control=token is not None)

    async def page(_request: Request) -> Response:
        return Response(_page(), media_type="text/html; charset=utf-8")

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name == PLOTLY:
            return _cached(request, *_plotly())
        if name not in _ASSETS:
            return _not_found(request)
        return _cached(request, _static(name), None, _ASSETS[name])

    async def state(_request: Request) -> Response:
        view = await run_in_threadpool(observer.view)
        return Response(to_json(view), media_type="application/json")

    async def report(request: Request) -> Response:
        place, name = request.path_params["place"], request.path_params["name"]
        path = report_file(workspace.validation_state, place, name)
        if path is None:
            return _not_found(request)
        answer = FileResponse(path, media_type=REPORT_FILES[name])
        shown = name in ("report.html", "report.pdf", "report.json")
        answer.headers["content-disposition"] = f'{"inline" if shown else "attachment"}; filename="{name}"'
        if name == "report.html":
            answer.headers["content-security-policy"] = REPORT_POLICY
        return answer

    async def health(_request: Request) -> Response:
        view = await run_in_threadpool(observer.view)
        readable = not any(problem.source == "status" for problem in view.problems)
        body = {
            "healthy": readable,
            "status": "serving" if readable else "the state directories cannot be read",
            "alarms": len(view.status.alarms),
            "broken_files": len(view.problems),
            "control": view.control,
        }
        return JSONResponse(body, 200 if readable else 503)

    async def command(request: Request) -> Response:
        assert token is not None
        name = request.path_params["name"]
        if name not in COMMANDS:
            return _not_found(request)
        refusal = command_refusal(request.headers, request.url.scheme, token)
        if refusal is not None:
            _log.warning("command refused", command=name, why=refusal, client=_client(request))
            return JSONResponse({"done": False, "text": refusal}, 403)
        try:
            text = await run_in_threadpool(COMMANDS[name], workspace, clock)
        except StateError as error:
            _log.error("command failed", command=name, why=error.message)
            hint = "; the way out without flags: swt emergency-close" if name == "emergency" else ""
            return JSONResponse({"done": False, "text": error.message + hint}, 503)
        observer.forget()
        _log.warning("command obeyed", command=name, client=_client(request))
        return JSONResponse({"done": True, "text": text})

    routes = [
        Route("/", page),
        Route("/static/{name}", asset),
        Route("/api/state", state),
        Route("/reports/{place:path}/{name}", report),
        Route("/health", health),
    ]
    if token is not None:
        routes.append(Route("/control/{name}", command, methods=["POST"]))
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, hosts=(*LOOPBACK, *hosts)),
            Middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5),
        ],
    )


def _client(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _not_found(_request: Request) -> Response:
    return PlainTextResponse("there is nothing here\n", 404)


@cache
def _static(name: str) -> bytes:
    return (importlib.resources.files("swt_ops.dashboard") / "static" / name).read_bytes()


@cache
def _page() -> bytes:
    """The page; it holds the ids by which libraries in Plotly's bundle know that their styles are there.

    They would add them as inline styles, which the page's policy forbids, and our charts need none of them.
    """
    ids = sorted(set(re.findall(rb'getElementById\("([0-9a-f]{64})"\)', _plotly()[0])))
    provided = b"\n".join(b'<meta name="style-provided" id="%s">' % name for name in ids)
    return _static(PAGE).replace(b"<!-- provided styles -->", provided)


@cache
def _plotly() -> tuple[bytes, bytes, str]:
    """Plotly's own bundle, plain and compressed once: it is five megabytes.

    Raises:
        ConfigError: the package is not installed as it should be.
    """
    try:
        plain = (importlib.resources.files("plotly") / "package_data" / PLOTLY).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ConfigError(
            f"the charts' library {PLOTLY} is missing", remedy="install the package plotly again"
        ) from error
    return plain, gzip.compress(plain, 6, mtime=0), "text/javascript; charset=utf-8"


def require_charts() -> None:
    """Fail before the start rather than in the browser.

    Raises:
        ConfigError: the charts' library is missing.
    """
    _plotly()


def _cached(request: Request, plain: bytes, packed: bytes | None, media_type: str) -> Response:
    """An asset, asked for again only when it has changed."""
    etag = f'"{_digest(plain)}"'
    headers = {"cache-control": "no-cache", "etag": etag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    if packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, media_type=media_type, headers=headers | {"content-encoding": "gzip"})
    return Response(plain, media_type=media_type, headers=headers)


@cache
def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
