"""Two round trips less at each sign-in, by way of two of asyncssh's inner names. All of it is in this file.

Asyncssh first asks which methods the host offers (by trying ``none``), then asks whether the key would do, and only
then signs. Where the one method is a key that is known to be right, both questions are wasted: each costs a round trip,
and sshd answers each with a deliberate delay. OpenSSH's own ``ssh`` saves neither; paramiko saves the second.

Nothing is given away by it: the host key has been checked before, and a signature is bound to this one session. Where
an asyncssh of another version does not have these names, nothing is changed and the sign-in works as it always did.
"""

import functools
from typing import Any

import asyncssh
from asyncssh.packet import Boolean

_ASK_FIRST = [b"none"]
_METHOD = b"publickey"


def trim(connection: asyncssh.SSHClientConnection) -> bool:
    """Arm both savings on a connection that has just been made. Returns False where they do not fit (nothing done)."""
    inner: Any = connection
    fits = (
        getattr(inner, "_auth_methods", None) == _ASK_FIRST
        and callable(getattr(inner, "public_key_auth_requested", None))
        and callable(getattr(inner, "send_userauth_request", None))
    )
    if fits:
        inner._auth_methods = [_METHOD]  # noqa: SLF001 - the reason for this file
        _sign_at_once(inner)
    return fits


def _sign_at_once(inner: Any) -> None:
    """Turn the question "would this key do?" into the signed request itself, for this connection only."""
    choose, send = inner.public_key_auth_requested, inner.send_userauth_request
    chosen: list[Any] = []

    @functools.wraps(choose)
    async def remember() -> Any:
        pair = await choose()
        chosen[:] = [pair]
        return pair

    @functools.wraps(send)
    async def sign(method: bytes, *args: bytes, key: Any = None, trivial: bool = True) -> None:
        if method == _METHOD and key is None and len(args) == 3 and args[0] == Boolean(False) and any(chosen):
            args, key, trivial = (Boolean(True), *args[1:]), chosen[0], False
        await send(method, *args, key=key, trivial=trivial)

    inner.public_key_auth_requested = remember
    inner.send_userauth_request = sign
