"""The warrant's one writing, and every other writing refused."""

from dataclasses import replace
from typing import Any

import pytest

from app.core import warrant as module
from app.core.errors import Refused
from app.core.warrant import digest_of, escape, read, short_digest, unescape
from tests.unit.core.samples import WARRANT


def test_the_example_of_the_documentation_is_a_warrant() -> None:
    documentation = module.__doc__ or ""
    lines = documentation[documentation.index("    askfirst-warrant 1") :].splitlines()
    assert read("".join(f"{line[4:]}\n" for line in lines if line)) == WARRANT


@pytest.mark.law(5)
def test_a_warrant_reads_back_as_it_was_written() -> None:
    assert read(WARRANT.text()) == WARRANT
    assert digest_of(WARRANT.text()) == WARRANT.digest


@pytest.mark.law(5)
@pytest.mark.parametrize(
    "reason",
    ["two\nlines\nargv rm", "100 %", "%0A", "é \u202e \x1b[2J", "\udc9b", "", " a ", "x" * 4096],
    ids=["newline", "percent", "escape", "unicode", "byte", "empty", "blanks", "long"],
)
def test_free_text_stays_in_its_own_line(reason: str) -> None:
    text = replace(WARRANT, reason=reason).text()
    assert text.isascii()
    assert text.count("\n") == WARRANT.text().count("\n")
    assert read(text).reason == reason


@pytest.mark.law(5)
@pytest.mark.threat("G7")
@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        ("askfirst-warrant 1\n", "askfirst-warrant 2\n"),
        ("askfirst-warrant 1\n", ""),
        ("service pypnm-gui\n", ""),
        ("service pypnm-gui\n", "service pypnm-gui\nservice other\n"),
        ("service pypnm-gui\nhost alpha\n", "host alpha\nservice pypnm-gui\n"),
        ("service pypnm-gui\n", "service pypnm-gui\r\n"),
        ("service pypnm-gui\n", "service pypnm%2Dgui\n"),
        ("service pypnm-gui\n", "service pypnm-gui\nextra 1\n"),
        ("service pypnm-gui\n", "service\n"),
        ("argv restart\n", "argv restart;reboot\n"),
        ("10:15:00Z", "10:15:00+00:00"),
        ("2026-01-27T10:15:00Z", "2026-1-27T10:15:00Z"),
        ("2026-01-27T10:15:00Z", "2026-02-30T10:15:00Z"),
        ("reason TFTP", "reason%20TFTP"),
        ("TFTP %C3%A9", "TFTP é"),
        ("TFTP %C3%A9", "TFTP %c3%a9"),
        ("c7d65\n", "c7d65"),
        ("c7d65\n", "c7d65\n\n"),
    ],
)
def test_any_other_writing_is_refused(was: str, is_now: str) -> None:
    text = replace(WARRANT, reason="TFTP é").text()
    assert was in text
    with pytest.raises(Refused) as refused:
        read(text.replace(was, is_now))
    assert refused.value.code in {"warrant_unreadable", "warrant_field"}
    assert refused.value.next_step


@pytest.mark.law(4)
@pytest.mark.threat("D1")
@pytest.mark.parametrize(
    "word", ["", "a b", "a;b", "$(id)", "`id`", "a\nb", "a\tb", "*", "a'b", 'a"b', "a\\b", "é", "a%20b"]
)
def test_an_argv_word_that_a_shell_could_read_differently_is_in_no_warrant(word: str) -> None:
    with pytest.raises(Refused, match="argv cannot hold"):
        replace(WARRANT, argv=("systemctl", word)).text()


@pytest.mark.parametrize("line", ["", " a", "a ", "a  b", "a\nb", "é", "a\x1b"])
def test_an_identity_line_is_printable_words(line: str) -> None:
    with pytest.raises(Refused, match="identity cannot hold"):
        replace(WARRANT, identity=(line,)).text()


@pytest.mark.threat("C2")
@pytest.mark.parametrize("value", ["\ud800", "\udcc3\udca9", "a\udfff"])
def test_a_text_that_would_be_read_back_as_another_is_in_no_warrant(value: str) -> None:
    changes: list[dict[str, Any]] = [{"reason": value}, {"requester": value}, {"policy": value}]
    for changed in changes:
        with pytest.raises(Refused, match=f"{next(iter(changed))} cannot hold"):
            replace(WARRANT, **changed).text()


def test_a_manual_service_has_an_empty_argv() -> None:
    by_hand = replace(WARRANT, argv=(), argv_user="-")
    assert "argv " not in by_hand.text()
    assert read(by_hand.text()) == by_hand


def test_escapes_are_of_bytes_and_leave_plain_text_readable() -> None:
    assert escape("a b-~é%\n") == "a b-~%C3%A9%25%0A"
    assert unescape("a b-~%C3%A9%25%0A%9B") == "a b-~é%\n\udc9b"


def test_the_short_digest_can_be_read_over_a_phone() -> None:
    assert short_digest("00000000ff" + "0" * 54) == "0000-007Z"
    assert short_digest("f" * 64) == "ZZZZ-ZZZZ"
    assert not set("ILOU") & set("".join(short_digest(f"{number:064x}") for number in range(0, 1 << 200, 1 << 192)))
