"""Putting the pages on an application: routes, static files, errors as pages, and the wall before all of it.

It wires and decides nothing. ``main`` calls ``install`` once.
"""

import mimetypes
from hashlib import sha256
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import NotFound
from app.settings import Settings
from app.web import failures
from app.web.pages import Site
from app.web.routes import router
from app.web.security import Wall

_STATIC = Path(__file__).parent / "static"
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}


def install(app: FastAPI, settings: Settings) -> None:
    """Add everything that a browser is shown."""
    files = {path.name: path.read_bytes() for path in sorted(_STATIC.iterdir()) if path.is_file()}
    marks = {name: sha256(data).hexdigest()[:10] for name, data in files.items()}
    app.state.site = Site(settings.base_url, marks)

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise NotFound("There is no such file.", next_step="Go to the inbox.")
        is_current = request.query_params.get("v") == marks[name]
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(files[name], media_type=kind, headers=_FOREVER if is_current else None)

    app.add_route("/static/{name}", static, include_in_schema=False)
    app.include_router(router, include_in_schema=False)
    failures.install(app)
    app.add_middleware(Wall, base_url=settings.base_url, tell=failures.tell)
