"""A host's deployment document, shown and as a file to download. It follows from the registry and the last proofs."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from app.flow import docs
from app.web.deps import SignedIn
from app.web.pages import render

router = APIRouter()


@router.get("/hosts/{name}/docs")
async def one(request: Request, visit: SignedIn, name: str) -> HTMLResponse:
    """Show the document."""
    return await render(request, "hosts/docs.html", found=await docs.write(visit.world, name))


@router.get("/hosts/{name}/docs/DEPLOYMENT.md")
async def file(visit: SignedIn, name: str) -> Response:
    """Give the document as a file, byte for byte as the command writes it."""
    found = await docs.write(visit.world, name)
    headers = {"Content-Disposition": 'attachment; filename="DEPLOYMENT.md"'}
    return Response(found.text, media_type="text/markdown; charset=utf-8", headers=headers)
