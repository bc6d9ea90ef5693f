"""/openapi.json is complete and true: what a client generator reads there is what the server does.

That each answer is one that is promised is held by every other test here, through the client that they call with.
"""

from collections.abc import Iterator
from typing import Any

from app.api.replies import problems
from tests.integration.api.conftest import Api


def operations(api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in api.app.openapi()["paths"].items():
        if path.startswith("/api/"):
            for method, operation in methods.items():
                yield f"{method} {path}", operation


async def test_the_documented_addresses_are_these(api: Api) -> None:
    assert sorted(where for where, _ in operations(api)) == [
        "get /api/v1/audit",
        "get /api/v1/audit/export",
        "get /api/v1/hosts",
        "get /api/v1/hosts/{name}/discovery",
        "get /api/v1/requests",
        "get /api/v1/requests/{request_id}",
        "get /api/v1/requests/{request_id}/events",
        "get /api/v1/services",
        "get /api/v1/services/{name}",
        "post /api/v1/requests",
        "post /api/v1/requests/{request_id}/cancel",
        "post /api/v1/requests/{request_id}/insist",
        "post /api/v1/services/{name}/verify",
    ]


async def test_every_operation_names_its_token_its_purpose_and_its_problems(api: Api) -> None:
    for where, operation in operations(api):
        assert operation["security"] == [{"token": []}], where
        assert operation["description"], where
        for status in problems():
            content = operation["responses"][str(status)]["content"]
            assert list(content) == ["application/problem+json"], f"{where} {status}"
            assert content["application/problem+json"]["example"]["status"] == status, where


async def test_every_reference_leads_somewhere(api: Api) -> None:
    document = api.app.openapi()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(document)):
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found, reference


async def test_the_document_itself_needs_no_token(api: Api) -> None:
    async with api.anybody() as nobody:
        assert (await nobody.get("/openapi.json")).json() == api.app.openapi()
