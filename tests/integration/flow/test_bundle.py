"""One request's evidence, far from its log: what was changed is named, and what was deleted is never called good."""

import asyncio
import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from app.core.commitment import Text
from app.core.errors import NotFound
from app.core.lifecycle import State as Life
from app.core.policy import Assurance
from app.flow import signed
from app.flow.bundle import make, written
from app.flow.bundle_check import Point, Report, State, _principal, check
from app.store.log import Tx, canonical, link
from app.store.tables import TEXTS
from tests.fakes.signers import Signer
from tests.integration.cli.conftest import Command, command
from tests.integration.databases import Databases
from tests.integration.flow.conftest import Stage, staged
from tests.integration.flow.test_signed_yes import enrol, register, text_of

Bundle = dict[str, Any]


async def signed_restart(stage: Stage) -> Bundle:
    """Return the evidence of a restart that two people signed and that succeeded."""
    await register(stage, approvers=2, assurance=Assurance.PASSKEY)
    keys = {"bo": Signer(), "cy": Signer("sk-ecdsa-sha2-nistp256@openssh.com")}
    for name, key in keys.items():
        await enrol(stage, name, key)
    request = await stage.waiting()
    for key in keys.values():
        request = await signed.approve(stage.world, request.id, key.sign(await text_of(stage, request)), "10.0.0.9")
    ended = await stage.work(request)
    assert ended.state is Life.SUCCEEDED
    return await make(stage.db, ended.id)


async def on_files(files: Databases) -> Bundle:
    async with staged(files.place(), files) as stage:
        return await signed_restart(stage)


@pytest.fixture(scope="module")
def made(files: Databases) -> Bundle:
    return asyncio.run(on_files(files))


@pytest.fixture
def bundle(made: Bundle) -> Bundle:
    """Evidence to be spoilt. What is checked is a file; where it was made does not matter."""
    return copy.deepcopy(made)


def broken(report: Report) -> list[str]:
    return [f"{each.what}: {each.words}" for each in report.points if each.state is State.BROKEN]


def named(points: Iterable[Point]) -> list[str]:
    """What the points are of; a yes by the address that the bundle gives its person."""
    return [re.sub("of .*, says the bundle ", "of ", each.what) for each in points]


def text_named(bundle: Bundle, kind: str, name: str, number: int = 0) -> str:
    """The commitment that an event of the bundle names."""
    bodies = [json.loads(row["body"]) for row in bundle["rows"]]
    commitment: str = [each for each in bodies if each["type"] == kind][number]["data"][name]
    return commitment


def forged(bundle: Bundle, kind: str, number: int = 0, where: str = "rows", **data: Any) -> Bundle:
    """Change what an event says, and write every hash anew, as whoever owns the database could."""
    changed, rows, prev = [], sorted([*bundle["rows"], *bundle["keys"]], key=lambda row: row["seq"]), None
    seen = 0
    for row in rows:
        body = json.loads(row["body"])
        if body["type"] == kind:
            body["data"] |= data if seen == number else {}
            seen += 1
        before = bytes.fromhex(prev[1]) if prev and prev[0] + 1 == row["seq"] else bytes.fromhex(row["prev"])
        written_anew = canonical(body)
        prev = (row["seq"], link(before, written_anew).hex())
        changed.append({"seq": row["seq"], "body": written_anew.decode(), "prev": before.hex(), "hash": prev[1]})
    own = {row["seq"] for row in bundle["rows"]}
    return {
        **bundle,
        "rows": [each for each in changed if each["seq"] in own],
        "keys": [each for each in changed if each["seq"] not in own],
    }


@pytest.mark.law(5)
def test_the_evidence_of_a_signed_restart_holds_by_itself(bundle: Bundle) -> None:
    report = check(written(bundle))
    assert (report.state, broken(report)) == (State.OK, [])
    assert named(report.points)[-2:] == ["yes of bo@example.org", "yes of cy@example.org"]
    assert "signed with the security-key SHA256:" in report.points[-1].words
    assert check(written(forged(bundle, "none"))).state is State.OK


@pytest.mark.law(5)
def test_plain_ssh_keygen_takes_what_was_extracted_and_refuses_it_changed(bundle: Bundle, tmp_path: Path) -> None:
    file, askfirst = tmp_path / "evidence.json", command(tmp_path)
    file.write_text(written(bundle))
    done = askfirst("audit", "check", str(file), "--extract", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    commands = re.findall(r"^ssh-keygen .*$", done.stdout, re.MULTILINE)
    assert len(commands) == 2
    for line in commands:
        good = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        assert good.returncode == 0, good.stderr
        assert "Good" in good.stdout
    warrant = tmp_path / "out" / "warrant"
    warrant.write_text(warrant.read_text().replace("restart", "reload"))
    assert all(subprocess.run(["sh", "-c", line], capture_output=True, check=False).returncode for line in commands)
    again = askfirst("audit", "check", str(file), "--extract", str(tmp_path / "out"))
    assert again.exit_code == 2
    assert "is there already" in again.stderr


@pytest.mark.threat("F10")
def test_no_word_of_the_file_becomes_a_word_of_a_command(bundle: Bundle, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for mail, is_word in (("x y", False), ("-f", False), (f"$(touch {mark})", False), ("ceo@example.org", True)):
        file, askfirst = tmp_path / "evidence.json", command(tmp_path)
        file.write_text(written({**bundle, "mails": dict.fromkeys(bundle["mails"], mail)}))
        folder = tmp_path / f"out; touch {mark} {len(mail)}"
        done = askfirst("audit", "check", str(file), "--extract", str(folder))
        assert done.exit_code == 0, done.output
        assert len(re.findall(r"yes of \w{26}, says the bundle ", done.stdout)) == 2
        for line in re.findall(r"^ssh-keygen .*$", done.stdout, re.MULTILINE):
            assert subprocess.run(["sh", "-c", line], capture_output=True, check=False).returncode == 0
            assert (f" -I {mail} " in line) is is_word
    assert not mark.exists()


@pytest.mark.threat("F10")
@pytest.mark.parametrize("person", ["x;touch /tmp/x;#", "x y", "", "\n"])
def test_an_id_that_is_no_id_names_nobody(person: str) -> None:
    assert _principal(person, person) == "signer"


def test_where_nothing_can_be_extracted_the_report_is_told_all_the_same(bundle: Bundle, tmp_path: Path) -> None:
    for number in (0, 1):
        del bundle["texts"][text_named(bundle, "approved", "signature_text", number)]
    file, askfirst = tmp_path / "evidence.json", command(tmp_path)
    file.write_text(written(bundle))
    done = askfirst("audit", "check", str(file), "--extract", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "withheld" in done.stdout
    assert "Nothing was extracted" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.threat("F10")
def test_a_key_that_was_removed_before_the_yes_does_not_count(bundle: Bundle) -> None:
    """The log itself could hold that, where somebody owns the database: a yes by a key that its person had lost."""
    confirmed = next(each for each in bundle["keys"] if json.loads(each["body"])["type"] == "credential_confirmed")
    body = json.loads(confirmed["body"])
    taken = {**body, "type": "credential_removed", "seq": body["seq"] + 100_000}
    row = {**confirmed, "seq": taken["seq"], "body": canonical(taken).decode()}
    row["hash"] = link(bytes.fromhex(row["prev"]), canonical(taken)).hex()
    report = check(written({**bundle, "keys": [*bundle["keys"], row]}))
    assert any("had enrolled this key" in each for each in broken(report)), broken(report)


@pytest.mark.threat("F10")
@pytest.mark.parametrize(
    ("kind", "name", "points"),
    [
        ("asked", "reason_text", ["texts"]),
        ("approved", "signature_text", ["texts", "yes of bo@example.org"]),
        ("verified", "warrant_text", ["texts", "warrant", "yes of bo@example.org", "yes of cy@example.org"]),
    ],
)
def test_a_text_that_was_deleted_is_withheld_and_never_good(
    bundle: Bundle, tmp_path: Path, kind: str, name: str, points: list[str]
) -> None:
    del bundle["texts"][text_named(bundle, kind, name)]
    report = check(written(bundle))
    assert named(each for each in report.points if each.state is State.WITHHELD) == points
    assert not set(named(each for each in report.points if each.state is State.OK)) & set(points[1:])
    file, askfirst = tmp_path / "evidence.json", command(tmp_path)
    file.write_text(written(bundle))
    assert told(askfirst, file) == (2, "withheld")


@pytest.mark.threat("F10")
async def test_what_was_deleted_from_the_store_is_not_in_the_evidence(stage: Stage) -> None:
    bundle = await signed_restart(stage)
    assert check(written(bundle)).state is State.OK
    commitment = text_named(bundle, "asked", "reason_text")

    async def forget(tx: Tx) -> None:
        await tx.connection.execute(delete(TEXTS).where(TEXTS.c.commitment == commitment))

    await stage.db.write(forget)
    now = await make(stage.db, bundle["request"])
    assert set(bundle["texts"]) - set(now["texts"]) == {commitment}
    assert check(written(now)).state is State.WITHHELD


def told(askfirst: Command, file: Path) -> tuple[int, str]:
    done = askfirst("audit", "check", str(file), "--json")
    return done.exit_code, json.loads(done.stdout)["state"]


def rows_changed(bundle: Bundle, change: Callable[[list[Any]], object]) -> Bundle:
    rows = json.loads(json.dumps(bundle["rows"]))
    change(rows)
    return {**bundle, "rows": rows}


@pytest.mark.threat("F1")
@pytest.mark.threat("B17")
def test_rows_that_were_changed_cut_or_moved_are_named(bundle: Bundle) -> None:
    def reworded(rows: list[Any]) -> None:
        rows[0]["body"] = rows[0]["body"].replace("pypnm-gui", "pypnm-gux")

    def renumbered(rows: list[Any]) -> None:
        rows[-1]["seq"] += 7

    def respaced(rows: list[Any]) -> None:
        body = json.dumps(json.loads(rows[-1]["body"]))
        rows[-1] |= {"body": body, "hash": link(bytes.fromhex(rows[-1]["prev"]), body.encode()).hex()}

    for change in (renumbered, respaced):
        assert "are not those of an event" in broken(check(written(rows_changed(bundle, change))))[0]
    for change in (reworded, lambda rows: rows.pop(1), lambda rows: rows.reverse(), lambda rows: rows.append(rows[0])):
        assert broken(check(written(rows_changed(bundle, change))))
    assert broken(check(written({**bundle, "request": "01JF3W6V9Q0Z7E5M2T8X4K1B6N"})))
    assert broken(check(written(rows_changed(bundle, lambda rows: rows.clear()))))


@pytest.mark.law(7)
@pytest.mark.threat("B16")
@pytest.mark.parametrize(
    ("expected", "forge"),
    [
        ("cannot have happened", lambda b: forged(b, "approved", human=human_of(b))),
        ("cannot have happened", lambda b: forged(b, "approved", digest="0" * 64)),
        ("cannot have happened", lambda b: forged(b, "approved", level="click")),
        ("cannot have happened", lambda b: forged(b, "approved", 1, key=key_of(b))),
        ("another key than the log says", lambda b: forged(b, "approved", key="SHA256:other")),
        ("had enrolled this key", lambda b: {**b, "keys": []}),
        ("had enrolled this key", lambda b: forged(b, "credential_enrolled", person="somebody")),
        ("had enrolled this key", lambda b: forged(b, "credential_confirmed", usable_at="2099-01-01T00:00:00.000Z")),
        ("not what Askfirst writes", lambda b: forged(b, "credential_confirmed", usable_at="soon")),
        ("commitments name", lambda b: signature_by(b, Signer(), salted=False)),
        ("another key than the log says", lambda b: signature_by(b, Signer())),
        ("not over this warrant", lambda b: signature_by(b, Signer(), over="another text\n")),
        ("no signature that counts", lambda b: signature_by(b, None)),
        ("not the text that was approved", lambda b: forged(b, "verified", evidence_text="sha256:other")),
    ],
)
def test_what_a_forger_of_the_log_would_write_does_not_hold(
    bundle: Bundle, expected: str, forge: Callable[[Bundle], Bundle]
) -> None:
    report = check(written(forge(bundle)))
    assert report.state is State.BROKEN
    assert any(expected in each for each in broken(report)), broken(report)


def human_of(bundle: Bundle) -> str:
    human: str = json.loads(bundle["rows"][0]["body"])["data"]["requester_human"]
    return human


def key_of(bundle: Bundle) -> str:
    """The key of the first yes."""
    return text_named(bundle, "approved", "key")


def signature_by(bundle: Bundle, signer: Signer | None, over: str = "", *, salted: bool = True) -> Bundle:
    """Put another signature in the place of the first one."""
    warrant = bundle["texts"][text_named(bundle, "verified", "warrant_text")]["body"]
    text = Text(b"0" * 16, signer.sign(over or warrant) if signer else "no signature")
    entry = {"salt": text.salt.hex(), "body": text.body}
    if not salted:
        return {**bundle, "texts": {**bundle["texts"], text_named(bundle, "approved", "signature_text"): entry}}
    changed = forged(bundle, "approved", signature_text=text.commitment)
    return {**changed, "texts": {**bundle["texts"], text.commitment: entry}}


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", '{"askfirst-bundle": 2}', "[" * 5000, '{"askfirst-bundle": 1}']
)
def test_what_is_no_bundle_is_told_in_a_sentence(content: str) -> None:
    with pytest.raises(NotFound, match="no evidence bundle"):
        check(content)


async def test_a_click_is_said_to_leave_nothing_to_check(stage: Stage) -> None:
    ended = await stage.run(await stage.waiting())
    report = check(written(await make(stage.db, ended.id)))
    assert report.state is State.OK
    assert "a click: the log alone tells of it" in report.points[-1].words
    assert report.signed == []
