"""The pages' routes, one file for each noun."""

from fastapi import APIRouter

from app.web.routes import (
    audit,
    changes,
    credentials,
    decisions,
    docs,
    history,
    hostkeys,
    hosts,
    inbox,
    live,
    passkeys,
    people,
    registry,
    requests,
    services,
    session,
    settings,
    signed,
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
    signed,
    live,
    history,
    audit,
    people,
    hostkeys,
    registry,
    changes,
    settings,
    tokens,
    credentials,
    passkeys,
    session,
):
    router.include_router(_noun.router)
