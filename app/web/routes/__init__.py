"""The pages' routes, one file for each noun."""

from fastapi import APIRouter

from app.web.routes import (
    audit,
    changes,
    decisions,
    docs,
    history,
    hostkeys,
    hosts,
    inbox,
    live,
    people,
    registry,
    requests,
    services,
    session,
    settings,
    tokens,
)

router = APIRouter()
for _noun in (
    inbox,
    services,
    hosts,
    docs,
    requests,
    decisions,
    live,
    history,
    audit,
    people,
    hostkeys,
    registry,
    changes,
    settings,
    tokens,
    session,
):
    router.include_router(_noun.router)
