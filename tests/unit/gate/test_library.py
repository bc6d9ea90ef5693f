"""What every awk program of the gate uses, each function by itself, by whichever awk the host has."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.records import read
from app.gate import build

AWKS = {"awk": ("awk",), "mawk": ("mawk",), "busybox": ("busybox", "awk")}
EVERY_AWK = pytest.mark.parametrize("awk", AWKS)


def run(awk: str, program: str, **environment: str | bytes) -> bytes:
    if shutil.which(AWKS[awk][0]) is None:
        pytest.skip(f"needs {awk}")
    command = f'. /dev/fd/3; exec {" ".join(AWKS[awk])} "$AF_AWK""$PROGRAM"'
    done = subprocess.run(
        ["sh", "-c", f"exec 3<<'GATE'\n{build.program()}GATE\n{command}"],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "PROGRAM": program, **environment},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return done.stdout


@EVERY_AWK
@pytest.mark.law(13)
@given(text=st.binary(max_size=200).filter(lambda text: b"\0" not in text))
@settings(max_examples=25)
def test_any_text_becomes_one_field_and_comes_back_the_same(awk: str, text: bytes) -> None:
    printed = run(awk, 'BEGIN { rec("x.y"); put("a", ENVIRON["TEXT"]); put("b", "end"); done() }', TEXT=text)
    framed = b"askfirst-gate 1 nonce=0 verb=probe gate=0\n" + printed + b"end nonce=0 count=2\n"
    (_, record) = read(framed, "0", "probe")
    assert record.get("a").encode("utf-8", "surrogateescape") == text
    assert record.get("b") == "end"


@EVERY_AWK
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["12:pids:/a", "1:name=systemd:/system.slice/x.service", "0::/y"], "/system.slice/x.service"),
        (["0::/system.slice/x.service"], "/system.slice/x.service"),
        (["1:name=systemd:/", "0::/system.slice/x.service"], "/system.slice/x.service"),
        (["0::/y", "1:name=systemd:/docker/f00"], "/docker/f00"),
        (["12:pids:/a"], ""),
        (["0::/"], "/"),
    ],
)
def test_the_control_group_is_the_one_that_tells_the_manager(awk: str, lines: list[str], expected: str) -> None:
    taken = 'n = split(ENVIRON["LINES_OF"], line, "\\n"); for (i = 1; i <= n; i++) take_cgroup("7/cgroup:" line[i])'
    assert run(awk, f"BEGIN {{ {taken}; print cgroup_of(7) }}", LINES_OF="\n".join(lines)).decode() == f"{expected}\n"


@EVERY_AWK
@pytest.mark.parametrize(
    ("first", "path", "expected"),
    [
        ("/init.scope", "/system.slice/x.service", "/system.slice/x.service"),
        ("/", "/docker/f00", "/docker/f00"),
        ("/docker/f00", "/docker/f00", "/"),
        ("/docker/f00", "/docker/f00/docker/ba5", "/docker/ba5"),
        ("/docker/f00", "/docker/f001", "/docker/f001"),
        ("/docker/f00/init.scope", "/docker/f00/system.slice/x.service", "/system.slice/x.service"),
    ],
)
def test_where_the_host_is_a_container_itself_groups_are_told_as_seen_from_its_first_process(
    awk: str, first: str, path: str, expected: str
) -> None:
    program = 'BEGIN { take_cgroup("1/cgroup:0::" ENVIRON["FIRST"]); take_cgroup("7/cgroup:0::" ENVIRON["THERE"]); '
    assert run(awk, program + "print cgroup_of(7) }", FIRST=first, THERE=path).decode() == f"{expected}\n"


@EVERY_AWK
def test_a_value_too_long_is_cut_and_says_so(awk: str) -> None:
    printed = run(awk, 'BEGIN { print enc(ENVIRON["TEXT"]); print enc(ENVIRON["TEXT"] " ") }', TEXT="x" * 5000).split()
    assert printed == [b"x" * 4096 + b"%E2%80%A6"] * 2


@EVERY_AWK
@pytest.mark.law(13)
@pytest.mark.threat("E4")
def test_what_a_fragment_prints_and_is_no_record_of_its_own_is_dropped_and_told(awk: str) -> None:
    foreign = ("VERIFIED", "process pid=1 ppid=0", "host boot=x", "x.y a=b c", "x.y a=\x1b")
    lines = ("x.y a=1", *foreign, "blind what=a why=b about=-")
    text = "~fragments\n" + "".join(f"{line}\n" for line in lines)
    said = answered(awk, text)
    assert said[:2] == ["x.y a=1", "blind what=a why=b about=-"]
    assert [line for line in said if line.startswith("blind what=gate")] == [
        "blind what=gate why=5%20lines%20of%20a%20fragment%20were%20no%20records about=-"
    ]


def answered(awk: str, text: str) -> list[str]:
    """What the last step of a probe makes of what the others printed."""
    command = f'. /dev/fd/3; exec {" ".join(AWKS[awk])} "$AF_AWK$AF_PROCESSES$AF_WRITABLE$AF_ANSWER" /dev/fd/4'
    script = f"exec 3<<'GATE' 4<<'TEXT'\n{build.program()}GATE\n{text}TEXT\n{command}"
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "AF_VERB": "probe", "AF_NONCE": "0", "AF_TICKS": "100"}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()
