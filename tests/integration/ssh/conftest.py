"""A key of ours, a server that accepts it, and the connections under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from app.ssh.keys import ClientKey
from app.ssh.pool import Connections
from tests.fakes.sshd import Sshd


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id_ed25519"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    return path


@pytest.fixture
def client_key(key_path: Path) -> ClientKey:
    return ClientKey(key_path)


@pytest.fixture
async def sshd(client_key: ClientKey) -> AsyncIterator[Sshd]:
    async with Sshd(client_key.pair) as server:
        yield server


@pytest.fixture
async def connections(client_key: ClientKey) -> AsyncIterator[Connections]:
    made = Connections(client_key)
    yield made
    await made.close()
