"""Certificates from HashiCorp Vault's SSH secrets engine, in place of our own signer process.

It needs an engine with a CA (``vault secrets enable ssh``, ``vault write ssh/config/ca generate_signing_key=true``) and
one role with ``key_type=ca``, ``allow_user_certificates=true``, ``allowed_users="look,restart-SERVICE,…"`` (each by its
whole name: it takes no pattern, and ``*`` would allow root), ``max_ttl=5m``, ``not_before_duration=60s``,
``default_extensions={"permit-port-forwarding": ""}`` and ``allowed_critical_options="source-address"``. Vault gives
serials of its own: it does not refuse a second certificate for one run, as our signer does; the host's spool does, for
each warrant.

Who asks is told by a token from a file, read anew for each certificate (an agent of Vault's keeps it fresh), or by an
AppRole's login. Certificates are checked against the wish by ``certificates``; nothing here is believed.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.core.display import visible
from app.core.errors import Unreachable
from app.ssh.certificates import AFTER_SECONDS, Wish

ANSWER_SECONDS = 5.0
_SPARE_SECONDS = 30.0  # a token that ends this soon is not used any more


@dataclass(frozen=True, slots=True)
class Place:
    """Where Vault is and who asks. ``token_file``, or ``role_id`` and ``secret_id_file``; ``ca_file`` for its TLS."""

    address: str
    role: str
    mount: str = "ssh"
    token_file: Path | None = None
    role_id: str = ""
    secret_id_file: Path | None = None
    ca_file: Path | None = None


class VaultSigner:
    """Vault, asked over HTTP for each certificate."""

    chooses_serial = True

    def __init__(self, place: Place, *, now: Callable[[], float] = time.monotonic) -> None:
        """Take where it is; nothing is asked yet."""
        self._place = place
        self._now = now
        self._token, self._token_ends = "", 0.0

    async def sign(self, wish: Wish) -> str:
        """Return a certificate. Raises Unreachable where Vault refuses, or does not answer."""
        asked: dict[str, object] = {
            "public_key": wish.key,
            "cert_type": "user",
            "valid_principals": wish.principal,
            "ttl": f"{AFTER_SECONDS}s",
        }
        if wish.sources:
            asked["critical_options"] = {"source-address": ",".join(wish.sources)}
        path = f"{self._place.mount}/sign/{self._place.role}"
        answer = await self._post(path, asked, await self._who())
        try:
            return str(answer["data"]["signed_key"]).strip()
        except (KeyError, TypeError) as error:
            raise self._unusable("answers without a certificate") from error

    async def _who(self) -> str:
        """Return a token: the file's, or one from a login that is good for a while yet."""
        place = self._place
        if place.token_file:
            return self._read(place.token_file)
        if self._token and self._now() < self._token_ends:
            return self._token
        secret = {"secret_id": self._read(place.secret_id_file)} if place.secret_id_file else {}
        answer = await self._post("auth/approle/login", {"role_id": place.role_id, **secret}, "")
        try:
            self._token, lasts = str(answer["auth"]["client_token"]), float(answer["auth"]["lease_duration"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unusable("answers a login without a token") from error
        self._token_ends = self._now() + lasts - _SPARE_SECONDS
        return self._token

    async def _post(self, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        place = self._place
        headers = {"X-Vault-Request": "true"}
        headers |= {"X-Vault-Token": token} if token else {}
        try:
            async with httpx.AsyncClient(
                timeout=ANSWER_SECONDS,
                trust_env=False,
                verify=ssl.create_default_context(cafile=place.ca_file),
                follow_redirects=False,
            ) as client:
                answer = await client.post(f"{place.address.rstrip('/')}/v1/{path}", json=body, headers=headers)
            said = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise self._unusable(f"does not answer: {visible(str(error) or type(error).__name__, 200)}") from error
        if answer.status_code != httpx.codes.OK or not isinstance(said, dict):
            self._token = ""  # whatever was wrong with it, the next one logs in anew
            raise self._unusable(f"refuses (HTTP {answer.status_code}): {_errors(said)}")
        return said

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise self._unusable(f"cannot be asked: {path} cannot be read") from error

    def _unusable(self, what: str) -> Unreachable:
        return Unreachable(
            f"Vault at {self._place.address} {what}. Nothing was run.",
            code="not_signed",
            next_step=f"Look at Vault's role {self._place.mount}/roles/{self._place.role}, and at what may use it.",
        )


def _errors(said: object) -> str:
    """Vault's own words for why not."""
    errors = said.get("errors") if isinstance(said, dict) else None
    return visible("; ".join(map(str, errors)) if isinstance(errors, list) and errors else "it says no reason", 300)
