"""Certificates from Vault.

HashiCorp Vault itself could not be had where this was written. What answers here is a real HTTP server that does what
Vault's API documentation says of ``POST /v1/ssh/sign/:name`` and ``POST /v1/auth/approle/login``: their paths, headers,
fields, errors and statuses, with a real signing key behind them. That it is like Vault is our reading; that our side
sends what is documented, believes nothing that it gets, and says what went wrong, is what is tested.
"""

import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.core.errors import Unreachable
from app.ssh.certificates import Certificates, certificate_of
from app.ssh.vault import Place, VaultSigner

TOKEN = "hvs.a-token-of-the-tests"


@dataclass
class Vault:
    """What the documentation says, for one mount, one role and one AppRole. ``odd`` makes it sign something else."""

    ca: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    allowed_users: tuple[str, ...] = ("look", "restart-pypnm-gui")
    is_sealed: bool = False
    lease_seconds: int = 1200
    odd: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def answer(self, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append((path, body))
        if self.is_sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if path == "/v1/auth/approle/login":
            return self._login(body)
        if token not in self.tokens:
            return 403, {"errors": ["permission denied"]}
        if path != "/v1/ssh/sign/askfirst":
            return 404, {"errors": ["no handler for route"]}
        return self._sign(body)

    def _login(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body != {"role_id": "role-1", "secret_id": "secret-1"}:
            return 400, {"errors": ["invalid role or secret ID"]}
        made = f"hvs.{len(self.asked)}"
        self.tokens = {made}
        return 200, {"auth": {"client_token": made, "lease_duration": self.lease_seconds, "renewable": True}}

    def _sign(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for principal in body["valid_principals"].split(","):
            if principal not in self.allowed_users:
                return 400, {"errors": [f"{principal} is not a valid value for valid_principals"]}
        sources, now = body.get("critical_options", {}).get("source-address", ""), int(time.time())
        options: dict[str, Any] = {
            "serial": 0x0123456789ABCDEF,
            "principals": body["valid_principals"].split(","),
            "valid_after": now - 30,
            "valid_before": now + int(body["ttl"].removesuffix("s")),
            "source_address": list(filter(None, sources.split(","))) or None,
            **self.odd,
        }
        key = options.pop("key", None) or asyncssh.import_public_key(body["public_key"])
        signed = self.ca.generate_user_certificate(key, "vault-approle-0123", **options)
        return 200, {"data": {"serial_number": "123456789abcdef", "signed_key": signed.export_certificate().decode()}}


@contextmanager
def served(vault: Vault, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, said = vault.answer(self.path, self.headers.get("X-Vault-Token", ""), body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def certificates(address: str, token_file: Path, **other: Any) -> Certificates:
    return Certificates(VaultSigner(Place(address, "askfirst", token_file=token_file, **other)), ["10.0.0.2"])


async def test_vault_signs_for_one_thing_and_from_one_address(token_file: Path) -> None:
    vault = Vault()
    with served(vault) as address:
        pair = await certificates(address, token_file).pair("restart-pypnm-gui", 4711, None)
    found = certificate_of(pair)
    assert found is not None
    assert found.valid_principals == [b"restart-pypnm-gui"]
    assert found.critical_options == {b"source-address": b"10.0.0.2/32"}
    (path, body) = vault.asked[0]
    assert path == "/v1/ssh/sign/askfirst"
    assert body | {"public_key": ""} == {
        "public_key": "",
        "cert_type": "user",
        "valid_principals": "restart-pypnm-gui",
        "ttl": "300s",
        "critical_options": {"source-address": "10.0.0.2"},
    }


@pytest.mark.threat("D9")
@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"principals": ["look", "restart-a"]}, "not for the one principal"),
        ({"principals": []}, "not for the one principal"),
        ({"principals": ["root"]}, "not for the one principal"),
        ({"valid_before": 2**40}, "good for too long"),
        ({"valid_before": 2}, "out of date"),
        ({"valid_after": 2**39, "valid_before": 2**40}, "good for too long"),
        ({"source_address": None}, "other source addresses"),
        ({"source_address": ["0.0.0.0/0"]}, "other source addresses"),
        ({"force_command": "sh"}, "a command of its own"),
        ({"key": asyncssh.generate_private_key("ssh-ed25519")}, "another key"),
    ],
)
async def test_a_certificate_that_is_not_what_was_asked_for_is_shown_to_nobody(
    token_file: Path, odd: dict[str, Any], why: str
) -> None:
    if "valid_before" in odd and odd["valid_before"] == 2:
        odd = {"valid_after": 1, **odd}
    with served(Vault(odd=odd)) as address, pytest.raises(Unreachable) as refused:
        await certificates(address, token_file).pair("look", 0, None)
    assert refused.value.code == "wrong_certificate"
    assert why in refused.value.message


async def test_an_approle_logs_in_once_and_again_when_its_token_has_ended(tmp_path: Path) -> None:
    secret, now = tmp_path / "secret", [1000.0]
    secret.write_text("secret-1\n")
    vault = Vault()
    with served(vault) as address:
        place = Place(address, "askfirst", role_id="role-1", secret_id_file=secret)
        made = Certificates(VaultSigner(place, now=lambda: now[0]))
        for _ in range(3):
            await made.pair("look", 0, None)
        assert [path for path, _ in vault.asked].count("/v1/auth/approle/login") == 1
        now[0] += 1200
        await made.pair("look", 0, None)
        assert [path for path, _ in vault.asked].count("/v1/auth/approle/login") == 2
        vault.tokens = set()  # revoked before its time
        with pytest.raises(Unreachable, match="permission denied"):
            await made.pair("look", 0, None)
        await made.pair("look", 0, None)
        secret.write_text("stolen\n")
        now[0] += 1200
        with pytest.raises(Unreachable, match="invalid role or secret ID"):
            await made.pair("look", 0, None)


async def test_what_vault_refuses_or_does_not_answer_is_a_sentence_without_the_token(token_file: Path) -> None:
    vault = Vault()
    with served(vault) as address:
        made = certificates(address, token_file)
        vault.is_sealed = True
        with pytest.raises(Unreachable, match="Vault is sealed") as refused:
            await made.pair("look", 0, None)
        assert TOKEN not in str(refused.value) + refused.value.next_step
        vault.is_sealed = False
        with pytest.raises(Unreachable, match="restart-other is not a valid value"):
            await made.pair("restart-other", 9, None)
        vault.tokens.clear()
        with pytest.raises(Unreachable, match="permission denied"):
            await made.pair("look", 0, None)
        token_file.unlink()
        with pytest.raises(Unreachable, match="cannot be read"):
            await made.pair("look", 0, None)
    token_file.write_text(TOKEN)
    with pytest.raises(Unreachable, match="does not answer"):
        await made.pair("look", 0, None)


async def test_vaults_tls_is_checked_against_the_named_authority(token_file: Path, tmp_path: Path) -> None:
    key, own = tmp_path / "tls.key", tmp_path / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=vault", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(own)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    vault = Vault()
    with served(vault, context) as address:
        with pytest.raises(Unreachable, match="does not answer"):
            await certificates(address, token_file).pair("look", 0, None)
        assert vault.asked == []
        await certificates(address, token_file, ca_file=own).pair("look", 0, None)
