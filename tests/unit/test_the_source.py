"""What no source of ours may hold: a text that reads otherwise than it runs, SQL in pieces, a second way to a yes."""

import ast
import re
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in sorted(ROOT.glob("app/**/*.py"))}
_TEXT = {".py", ".sh", ".awk", ".html", ".css", ".js", ".md", ".toml", ".yml", ".yaml", ".lock", ".txt", ".svg", ""}
# Letters of other alphabets that look like ours; an identifier or a word with one of them reads as another.
_OTHER_ALPHABETS = re.compile(r"[\u0370-\u03ff\u0400-\u052f\uff00-\uffef]")
# Corpora of hostile text hold such letters as what they are: the input of a test.
_CORPORA = re.compile(r"tests/(unit|property|output|facts)/|tests/integration/threats/")


def sources() -> Iterator[tuple[str, str]]:
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    found = subprocess.run(listed, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        names = found.stdout.split("\0")
    else:  # no checkout, an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.glob("[!.]*/**/*")]
    for name in sorted(filter(None, names)):
        path = ROOT / name
        if path.suffix in _TEXT and path.is_file():
            yield name, path.read_bytes().decode("utf-8")


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] == name
    ]


@pytest.mark.threat("L7")
def test_no_source_holds_a_character_that_hides_or_turns_what_is_read() -> None:
    """Not even a test: there it is written as an escape. (Bidi and zero-width marks, tags, controls but LF and tab.)"""
    wrong = [
        f"{name}: U+{ord(character):04X}"
        for name, text in sources()
        for character in sorted(set(text))
        if (unicodedata.category(character) in {"Cf", "Cc", "Co", "Zl", "Zp"} and character not in "\n\t")
    ]
    assert wrong == []


@pytest.mark.threat("L7")
def test_no_code_holds_a_letter_that_looks_like_another() -> None:
    names = [
        f"{name}: {found[0]!a}"
        for name, text in sources()
        if name.endswith((".py", ".sh", ".awk", ".js", ".html")) and not _CORPORA.match(name)
        if (found := _OTHER_ALPHABETS.search(text))
    ]
    assert names == []


@pytest.mark.law(7)
@pytest.mark.threat("B1")
def test_a_yes_is_made_in_one_place_behind_the_one_guard() -> None:
    places = {str(path): len(calls(tree, "Approved")) for path, tree in APP.items() if calls(tree, "Approved")}
    assert places == {"app/flow/decide.py": 1}
    decide = APP[Path("app/flow/decide.py")]
    functions = [node for node in ast.walk(decide) if isinstance(node, ast.AsyncFunctionDef)]
    (approve,) = (node for node in functions if node.name == "approve")
    assert len(calls(approve, "Approved")) == 1
    guards = [call.lineno for call in calls(approve, "_guard")]
    assert len(guards) == 2, "once before the host is bothered, and once with what is known then"
    assert max(guards) < calls(approve, "Approved")[0].lineno
    kinds = [path for path, tree in APP.items() if calls(tree, "kind") and "KINDS" in ast.unparse(tree)]
    assert kinds == [Path("app/core/events.py")], "nobody else makes events by their names"


@pytest.mark.law(8)
@pytest.mark.threat("I1")
def test_only_the_pages_of_signed_in_people_and_a_signature_can_reach_a_decision() -> None:
    doors = [
        str(path)
        for path, tree in APP.items()
        if calls(tree, "approve") or calls(tree, "deny")
        if path != Path("app/flow/decide.py")
    ]
    assert sorted(doors) == ["app/flow/signed.py", "app/web/routes/decisions.py", "app/web/routes/signed.py"]
    sessions = [path for path, tree in APP.items() if "SIGNATURE" in ast.unparse(tree) and calls(tree, "Attempt")]
    assert sessions == [Path("app/flow/signed.py")], "without a session only a proved signature makes an attempt"


@pytest.mark.law(6)
def test_only_the_executor_sends_a_warrant() -> None:
    places = [
        str(path)
        for path, tree in APP.items()
        for call in calls(tree, "restart")
        if ast.unparse(call.func).endswith("hosts.restart")
    ]
    assert places == ["app/flow/execute.py"]


@pytest.mark.threat("H7")
def test_no_sql_is_put_together_from_pieces() -> None:
    """Statements are constants, or SQLAlchemy's own; what varies is bound."""
    takes = ("execute", "exec_driver_sql", "run", "executemany", "executescript", "text", "sql", "execute_fetchall")
    pieces = [
        f"{path}:{call.lineno} {ast.unparse(call)[:80]}"
        for path, tree in APP.items()
        if "store" in path.parts
        for name in takes
        for call in calls(tree, name)
        if call.args
        if isinstance(call.args[0], ast.JoinedStr | ast.BinOp) or ".format(" in ast.unparse(call.args[0])
    ]
    assert [each for each in pieces if "PRAGMA" not in each] == []
    assert len(pieces) == 1, "the connection's own settings, which are constants of store/sqlite.py"


@pytest.mark.threat("B1")
def test_no_rule_rests_on_an_assertion() -> None:
    """`python -O` leaves assertions out: they may tell a type checker something, and guard nothing."""
    guarded = {"core", "store", "gate", "managers", "identity", "ssh"}
    found = [
        f"{path}:{node.lineno}"
        for path, tree in APP.items()
        if guarded & set(path.parts) or path.name in {"decide.py", "policy.py"}
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


@pytest.mark.threat("L3")
def test_no_private_key_is_shipped() -> None:
    """A key in a source or an image is everybody's key. The first start makes what it needs."""
    whole = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{60}")
    assert [name for name, text in sources() if whole.search(text)] == []
    copied = re.findall(r"^\s*COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert copied, "an image is made of named files, never of the whole folder"
    assert "." not in " ".join(copied).split()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


@pytest.mark.law(13)
@pytest.mark.threat("A10")
def test_no_secret_is_written_to_a_log() -> None:
    logged = [
        f"{path}:{call.lineno}"
        for path, tree in APP.items()
        for level in ("info", "warning", "error", "exception", "debug")
        for call in calls(tree, level)
        if ast.unparse(call.func).startswith("_LOG")
        if re.search(r"secret|password|cookie|\bbody\b|headers|authorization|\bform\b|values", ast.unparse(call))
    ]
    assert logged == []
