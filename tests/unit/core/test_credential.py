"""A person's key: what may be pasted, who may vouch for it, and from when on it counts."""

import base64
import subprocess
from dataclasses import replace
from pathlib import Path
from struct import pack

import pytest

from app.core.credential import Credential, confirmation_refusal, fingerprint, ssh_key
from app.core.errors import Refused
from app.core.policy import Kind, Person, Role
from app.core.sshsig import KEY_TYPE

APPROVER = frozenset({Role.APPROVER})
BO = Person("bo", "Bo", "bo", APPROVER)
CY = Person("cy", "Cy", "cy", APPROVER)
NEW = Credential("k", "bo", Kind.PASSKEY, "laptop", "", 0, 100.0)


def line(kind: str, *parts: bytes) -> str:
    blob = b"".join(pack(">I", len(part)) + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(blob).decode()}"


ED = line("ssh-ed25519", bytes(32))
SK_ED = line("sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
SK_EC = line(KEY_TYPE, b"nistp256", b"\x04" + bytes(64), b"ssh:")
EC = line("ecdsa-sha2-nistp256", b"nistp256", b"\x04" + bytes(64))


@pytest.mark.parametrize(
    ("pasted", "kind"),
    [(ED, Kind.PLAIN), (EC, Kind.PLAIN), (SK_ED, Kind.SECURITY_KEY), (SK_EC, Kind.SECURITY_KEY)],
)
def test_an_ssh_key_is_taken_without_its_comment(pasted: str, kind: Kind) -> None:
    assert ssh_key(f"  {pasted} bo@laptop of mine\n") == (kind, pasted)


@pytest.mark.parametrize(
    "pasted",
    [
        *("", "ssh-ed25519", "hello there", f'command="x" {ED}', f"{ED}\n{SK_ED}", "ssh-ed25519 AAAA"),
        ED.replace("ssh-ed25519", "sk-ssh-ed25519@openssh.com", 1),
        ED[:-8],
        ED + "=",
        "ssh-ed25519 " + "\N{SNOWMAN}" * 8,
        line("ssh-ed25519", bytes(31)),
        line("ssh-ed25519", bytes(32), b"more"),
        line("sk-ssh-ed25519@openssh.com", bytes(32)),
        line("ssh-rsa", b"\x01\x00\x01", bytes(257)),
        line("ecdsa-sha2-nistp384", b"nistp384", b"\x04" + bytes(96)),
    ],
)
def test_what_is_no_key_that_can_sign_is_refused_and_says_what_to_paste(pasted: str) -> None:
    with pytest.raises(Refused) as refused:
        ssh_key(pasted)
    assert refused.value.code == "bad_key"
    assert "sk-ssh-ed25519@openssh.com" in refused.value.next_step


def test_a_fingerprint_is_written_as_ssh_keygen_writes_it(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    for each in (ED, SK_ED):
        key.write_text(each)
        said = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout
        assert fingerprint(each) in said


@pytest.mark.threat("A8")
@pytest.mark.parametrize(
    ("by", "code"),
    [
        (CY, ""),
        (replace(CY, roles=frozenset({Role.ADMIN})), ""),
        (replace(CY, roles=frozenset({Role.EDITOR, Role.REQUESTER, Role.AUDITOR})), "not_voucher"),
        (replace(CY, is_enabled=False), "not_voucher"),
        (BO, "own_key"),
        (replace(BO, id="bo-2", name="Bo's other account", roles=frozenset({Role.ADMIN})), "own_key"),
    ],
)
def test_another_human_vouches_for_a_key_and_never_a_second_account_of_the_same(by: Person, code: str) -> None:
    refused = confirmation_refusal(NEW, BO, by)
    assert (refused.code if refused else "") == code


@pytest.mark.threat("A8")
def test_whoever_has_set_the_owners_password_vouches_for_none_of_their_keys() -> None:
    refused = confirmation_refusal(NEW, BO, CY, {"cy"})
    assert refused is not None
    assert refused.code == "set_password"
    assert confirmation_refusal(NEW, BO, CY, {"root"}) is None


@pytest.mark.threat("A8")
def test_a_key_is_confirmed_once_and_for_nobody_who_is_disabled() -> None:
    for credential, owner, code in (
        (replace(NEW, usable_at=1.0), BO, "key_confirmed"),
        (NEW, replace(BO, is_enabled=False), "disabled"),
    ):
        refused = confirmation_refusal(credential, owner, CY)
        assert refused is not None
        assert refused.code == code


@pytest.mark.threat("A8")
def test_a_key_may_approve_from_its_time_on_and_never_unconfirmed() -> None:
    assert not NEW.may_approve(1e12)
    sure = replace(NEW, usable_at=200.0)
    assert [sure.may_approve(at) for at in (199.9, 200.0)] == [False, True]
