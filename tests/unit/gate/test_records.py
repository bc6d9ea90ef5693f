"""The reader of the gate's answers: what is not framed exactly so is refused whole, whatever a host prints."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import Unreachable
from app.core.facts import Facts
from app.core.reading import facts
from app.core.records import ANSWER_BYTES, HEADER, LINE_BYTES, RECORDS, Reader, read
from tests.unit.gate.hosted import claim

NONCE = "0123456789abcdef" * 2
FIRST = f"{HEADER} 1 nonce={NONCE} verb=probe gate=9f86d081884c7d65"
HOST = "host name=alpha now=1000.5 uid=0 user=root"
PROCESS = "process pid=7 ppid=1 start=90 started=990.25 uid=5 user=ada comm=gui cgroup=/a argv=gui%00-x%00"
DEMO = claim()


def answer(*lines: str, first: str = FIRST) -> bytes:
    whole = [first, *lines]
    return "".join(f"{line}\n" for line in [*whole, f"end nonce={NONCE} count={len(whole)}"]).encode("latin-1")


def seen(*lines: str) -> Facts:
    return facts(read(answer(HOST, *lines), NONCE, "probe"), 2000.0, [DEMO])


def is_garbled(text: bytes, verb: str = "probe") -> bool:
    with pytest.raises(Unreachable) as caught:
        read(text, NONCE, verb)
    return caught.value.code == "garbled" and caught.value.next_step != ""


def test_an_answer_is_read_as_its_records() -> None:
    header, record = read(answer("listen port=80 addr=:: owner=-  x=1".replace("  ", " ")), NONCE, "probe")
    assert header.get("gate") == "9f86d081884c7d65"
    assert (record.kind, dict(record.fields)) == ("listen", {"port": "80", "addr": "::", "owner": "", "x": "1"})


def test_escapes_are_undone_once_and_a_lone_minus_is_told_from_nothing() -> None:
    (_, record) = read(answer("x.y a=%2D b=- c=%2541 d=%0A%00%1B e=%E2%80%AE f=%FF"), NONCE, "probe")
    assert [record.get(key) for key in "abcdef"] == ["-", "", "%41", "\n\0\x1b", "\u202e", "\udcff"]


@pytest.mark.law(13)
@pytest.mark.threat("E4")
@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "VERDICT OK",
        "verified",
        '{"verdict": "VERIFIED"}',
        "Listen port=1",
        "listen  port=1",
        "listen port=1 ",
        "listen port",
        "listen port=",
        "listen port=1 port=2",
        "listen port=%",
        "listen port=%4",
        "listen port=%zz",
        "listen port=%0a",
        "listen Port=1",
        "listen port=a\tb",
        "listen port=\x1b[2J",
        "listen port=\xe9",
        "listen port=1\r",
        "a.b.c d=1",
        ".b c=1",
        "Last login: Mon",
        FIRST,
        f"end nonce={NONCE} count=2",
        f"end nonce={'f' * 32} count=2",
        f"end nonce={NONCE} count=1",
        f"end nonce={NONCE} count=02",
        "end",
    ],
)
def test_a_line_that_is_no_record_spoils_the_whole_answer(line: str) -> None:
    assert is_garbled(answer(line, PROCESS))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[:-1],
        lambda text: text[: len(text) // 2],
        lambda text: text.rpartition(b"end ")[0],
        lambda text: text + b"\n",
        lambda text: text + b"process pid=1\n",
        lambda text: text + text,
        lambda text: b"Welcome to alpha\n" + text,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b" 1 nonce", b" 2 nonce"),
        lambda text: text.replace(b" 1 nonce", b" nonce"),
        lambda text: text.replace(b"verb=probe", b"verb=result"),
        lambda text: text.replace(NONCE.encode(), b"f" * 32),
        lambda text: (b"f" * 32).join(text.rsplit(NONCE.encode(), 1)),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"count=3", b"count=4"),
    ],
)
def test_half_an_answer_or_another_one_is_no_answer(change: object) -> None:
    assert is_garbled(change(answer(HOST, PROCESS)))  # type: ignore[operator]


def taken_by(reader: Reader, piece: bytes, most: int) -> int:
    """Feed a reader until it refuses; how many bytes it took."""
    taken = 0
    while taken < most:
        try:
            reader.feed(piece)
        except Unreachable:
            break
        taken += len(piece)
    return taken


@pytest.mark.threat("E6")
def test_a_hundred_megabytes_are_refused_early_and_never_held() -> None:
    reader = Reader(NONCE, "probe")
    piece = (b"listen port=1\n" * 4096)[: 64 << 10]
    reader.feed(f"{FIRST}\n".encode())
    assert taken_by(reader, piece.rpartition(b"\n")[0] + b"\n", 100 << 20) <= ANSWER_BYTES


@pytest.mark.threat("E6")
def test_a_great_many_small_records_are_refused_early() -> None:
    reader = Reader(NONCE, "probe")
    reader.feed(f"{FIRST}\n".encode())
    assert taken_by(reader, b"a b=c\n", ANSWER_BYTES) == (RECORDS - 1) * len(b"a b=c\n")
    assert len(read(answer(*["a b=c"] * (RECORDS - 1)), NONCE, "probe")) == RECORDS


@pytest.mark.threat("E6")
def test_a_line_without_end_is_refused_early() -> None:
    assert taken_by(Reader(NONCE, "probe"), b"x" * 1000, 1 << 20) <= LINE_BYTES


@given(st.binary(max_size=300))
@pytest.mark.law(13)
def test_no_bytes_at_all_make_an_answer_or_a_foreign_error(noise: bytes) -> None:
    for text in (noise, answer(HOST).replace(b"host", noise, 1), answer(HOST) + noise):
        with suppress(Unreachable):
            read(text, NONCE, "probe")


@given(st.integers(0, 2**32))
def test_it_does_not_matter_how_an_answer_is_cut_into_pieces(seed: int) -> None:
    text, chance = answer(HOST, PROCESS), random.Random(seed)
    reader, records = Reader(NONCE, "probe"), []
    while text:
        size = chance.randint(1, 40)
        records += reader.feed(text[:size])
        text = text[size:]
    reader.close()
    assert records == read(answer(HOST, PROCESS), NONCE, "probe")


def test_records_become_facts() -> None:
    found = seen(
        PROCESS + " exe=/usr/bin/gui exe-uid=0 cwd=/opt/a%20b deleted=/lib/x.so%00/lib/y.so",
        "process pid=8 ppid=7 start=91 started=991 uid=6 user=6 comm=%0Ax cgroup=- argv=-",
        "listen port=80 addr=127.0.0.1 uid=5 inode=44",
        "listen port=80 addr=:: uid=5 inode=45",
        "holder inode=44 pid=8",
        "holder inode=44 pid=7",
        "demo.thing name=one",
        "demo.other name=two",
        "identity service=demo line=boot%20b",
        "identity service=demo line=process%207%2090%20ada%20/opt/a%2520b",
        "code service=demo commit=abc at=980 subject=fix newest=/opt/x newest-at=985.5",
        "writable service=demo path=/opt by=ada",
        "blind what=tool why=missing about=demo",
    )
    one, two = found.processes[7], found.processes[8]
    assert (found.hostname, found.uid, found.user) == ("alpha", 0, "root")
    assert (found.now, found.taken_at, found.gate, found.asked) == (1000.5, 2000.0, "9f86d081884c7d65", ("demo",))
    assert found.level == "open"
    assert (one.argv, one.exe, one.exe_uid, one.cwd) == (("gui", "-x", ""), "/usr/bin/gui", 0, "/opt/a b")
    assert (one.start, one.started_at, one.deleted) == (90, 990.25, ("/lib/x.so", "/lib/y.so"))
    assert (two.argv, two.exe, two.exe_uid, two.cwd, two.comm, two.ppid) == ((), None, None, None, "\nx", 7)
    assert [(each.port, each.address, each.pids) for each in found.listeners] == [
        (80, "127.0.0.1", (7, 8)),
        (80, "::", ()),
    ]
    assert [record.get("name") for record in found.records("demo.thing")] == ["one"]
    assert found.identity == {"demo": ("boot b", "process 7 90 ada /opt/a%20b")}
    assert (found.code["demo"].commit, found.code["demo"].commit_at, found.code["demo"].newest_at) == (
        "abc",
        980,
        985.5,
    )
    assert [(each.path, each.by) for each in found.writable["demo"]] == [("/opt", "ada")]
    assert [(each.what, each.why, each.about) for each in found.blind] == [("tool", "missing", "demo")]


@pytest.mark.law(13)
@pytest.mark.threat("E4")
@pytest.mark.parametrize(
    "lines",
    [
        [HOST],
        [PROCESS, PROCESS],
        [PROCESS.replace("pid=7", "pid=x")],
        [PROCESS.replace("start=90", "start=")[: -len(" argv=gui%00-x%00")] + " argv=-"],
        [PROCESS.replace("started=990.25", "started=soon")],
        ["process pid=7"],
        ["listen port=80"],
        ["holder inode=1 pid=-"],
        ["identity service=other line=boot"],
        ["identity service=demo"],
        ["code service=demo at=never"],
        ["code service=demo commit=a", "code service=demo commit=b"],
        ["writable service=demo path=/x"],
        ["blind what=x"],
    ],
)
def test_facts_that_contradict_themselves_are_no_facts(lines: list[str]) -> None:
    with pytest.raises(Unreachable) as caught:
        seen(*lines)
    assert caught.value.code == "garbled"


def test_a_field_that_nobody_reads_changes_nothing() -> None:
    """An older gate tells of a host's boot, and of a process's pid inside its container."""
    plain = facts(read(answer(HOST, PROCESS), NONCE, "probe"), 0.0, [])
    assert facts(read(answer(f"{HOST} boot=b hz=100", f"{PROCESS} inner=3"), NONCE, "probe"), 0.0, []) == plain


def test_an_answer_of_an_older_gate_is_read_and_says_so() -> None:
    text = answer(HOST).replace(b"9f86d081884c7d65", b"0000000000000000")
    assert facts(read(text, NONCE, "probe"), 0.0, []).gate == "0000000000000000"


def test_an_installed_gate_says_its_level_and_one_whose_records_differ_asks_for_the_kit() -> None:
    enforced = FIRST + " level=enforced"
    assert facts(read(answer(HOST, first=enforced), NONCE, "probe"), 0.0, []).level == "enforced"
    for first, said in ((FIRST, "sh -s"), (enforced, "renew the kit")):
        with pytest.raises(Unreachable) as caught:
            facts(read(answer("host name=b", first=first), NONCE, "probe"), 0.0, [])
        assert (caught.value.code, said in caught.value.next_step) == ("garbled", True)


def test_a_gate_that_refused_to_look_is_told_with_its_own_reason() -> None:
    with pytest.raises(Unreachable, match=r"/etc/askfirst/host is missing ‹U\+202E›") as caught:
        facts(read(answer("refused why=/etc/askfirst/host%20is%20missing%20%E2%80%AE"), NONCE, "probe"), 0.0, [])
    assert caught.value.code == "gate_refused"
