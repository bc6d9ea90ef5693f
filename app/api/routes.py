"""The API's routes under /api/v1, one file for each noun. There is none that approves, denies or edits (law 8)."""

from fastapi import APIRouter

from app.api import audit, events, hosts, requests, services

router = APIRouter(prefix="/api/v1")
for _noun in (services, hosts, requests, events, audit):
    router.include_router(_noun.router)
