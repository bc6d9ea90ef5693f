"""Hostile text shown as what it is, and secrets taken out before anything is kept."""

import pytest

from app.core.display import MASK, argv, masked, moment, span, visible


@pytest.mark.law(13)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字 🙂", "plain ünïcode 漢字 🙂"),
        ("\x1b[2J\x1b[1;1Happroved", "‹ESC›[2J‹ESC›[1;1Happroved"),
        ("\x1b]8;;javascript:alert(1)\x07here", "‹ESC›]8;;javascript:alert(1)‹BEL›here"),
        ("a\x00b\x7fc\x9bd", "a‹NUL›b‹DEL›c‹U+009B›d"),
        ("over\rwritten\nforged\tline", "over‹CR›written‹LF›forged‹TAB›line"),
        ("\u202egnp.exe\u2066x\u061c", "‹U+202E›gnp.exe‹U+2066›x‹U+061C›"),
        ("zero\u200bwidth\ufeff\u2060", "zero‹U+200B›width‹U+FEFF›‹U+2060›"),
        ("tag\U000e0041\U000e007f", "tag‹U+E0041›‹U+E007F›"),
        ("wide\u00a0blank\u3000", "wide‹U+00A0›blank‹U+3000›"),
        ("line\u2028paragraph\u2029", "line‹U+2028›paragraph‹U+2029›"),
        ("filler\u3164\u115f\ufe0f\u034f", "filler‹U+3164›‹U+115F›‹U+FE0F›‹U+034F›"),
        ("no utf-8: \udc9b\udcff", "no utf-8: ‹0x9B›‹0xFF›"),
        ("private \ue000 unassigned \U0003fffe", "private ‹U+E000› unassigned ‹U+3FFFE›"),
        ("tower a" + "\u0301" * 9, "tower a\u0301\u0301‹7 more marks›"),
    ],
)
@pytest.mark.threat("E2")
@pytest.mark.threat("E3")
def test_what_a_screen_would_act_on_is_shown_by_name(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_text_says_how_much_more_there_is() -> None:
    assert visible("x" * 5_000, 10) == "xxxxxxxxxx… 4,990 more"
    assert visible("x" * 10, 10) == "x" * 10


def test_a_block_of_output_keeps_its_lines_and_nothing_else() -> None:
    assert visible("one\n\ttwo\r\x1b", keep="\n\t") == "one\n\ttwo‹CR›‹ESC›"


@pytest.mark.law(13)
@pytest.mark.threat("E5")
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("--password=hunter2 --port 1", f"--password={MASK} --port 1"),
        ("--password hunter2 --port 1", f"--password {MASK} --port 1"),
        ("-token hunter2", f"-token {MASK}"),
        ("--no-password --port 1", "--no-password --port 1"),
        ("--password-file /run/pw", "--password-file /run/pw"),
        ("DB_PASSWORD=hunter2", f"DB_PASSWORD={MASK}"),
        ("MYSQL_PWD: hunter2", f"MYSQL_PWD: {MASK}"),
        ("DB_PASS='hunter2 and more' x", f"DB_PASS={MASK} x"),
        ('{"token": "hunt\\"er2", "port": 1}', f'{{"token": {MASK}, "port": 1}}'),
        ("{'api_key': 'hunter2'}", f"{{'api_key': {MASK}}}"),
        ("--key hunter2 --keyfile x", f"--key {MASK} --keyfile x"),
        ("aws_secret_access_key = hunter2", f"aws_secret_access_key = {MASK}"),
        ("postgres://app:hunter2@db/x", f"postgres://app:{MASK}@db/x"),
        ("redis://:hunter2@db", f"redis://:{MASK}@db"),
        ("http://host:80/a?token=hunter2", f"http://host:80/a?token={MASK}"),
        ("Authorization: Basic aHVudGVyMg==\nnext", f"Authorization: {MASK}\nnext"),
        ("curl -H 'Cookie: id=hunter2' x", f"curl -H 'Cookie: {MASK}' x"),
        ("got Bearer abc.def-hunter2 back", f"got Bearer {MASK} back"),
        ("sshpass -p hunter2 ssh", f"sshpass -p {MASK} ssh"),
        ("id AKIAABCDEFGHIJKLMNOP.", f"id {MASK}."),
        ("ghp_" + "a1" * 18, MASK),
        ("af_" + "hunter2" * 5, MASK),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", None),
        ("-----BEGIN PRIVATE KEY-----\ncut off", f"-----BEGIN PRIVATE KEY-----{MASK}"),
        ("bypass=1 compass: north author: me", "bypass=1 compass: north author: me"),
    ],
)
def test_a_secret_is_taken_out_and_its_name_kept(text: str, kept: str | None) -> None:
    expected = kept or f"-----BEGIN RSA PRIVATE KEY-----{MASK}-----END RSA PRIVATE KEY-----"
    assert masked(text) == expected
    assert masked(expected) == expected


@pytest.mark.law(13)
@pytest.mark.threat("E5")
def test_a_command_line_shows_no_secret_and_no_trick() -> None:
    words = [
        "python3",
        "/srv/serve.py",
        "<img src=x>",
        "\x1b[2J\nit's",
        "--password=hun ter2",
        "--token",
        "hunter2",
        "",
        "x",
        "",
        "",
    ]
    assert argv(words) == (
        f"python3 /srv/serve.py '<img src=x>' '‹ESC›[2J‹LF›it'\\''s' --password={MASK} --token {MASK} '' x"
    )
    assert "hunter2" not in argv(["env", "DB_PASSWORD=a&b;hunter2", "run"])


def test_a_command_line_of_many_words_is_capped() -> None:
    assert argv(["x"] * 100).endswith("x … 36 more words")
    assert argv(["x" * 400]).endswith("… 100 more")
    assert argv([]) == ""


@pytest.mark.threat("H4")
@pytest.mark.parametrize(
    "part",
    [
        "password",
        "--",
        "-a",
        "eyJ",
        "://a:",
        "://",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        '"',
        'token="\\',
        "cookie: ",
    ],
)
def test_no_text_makes_masking_slow(part: str) -> None:
    # What is bounded by the text's length ends; what is bounded by its square would not, before the suite is stopped.
    assert masked(part * 60_000) is not None


def test_times_and_spans_are_for_reading() -> None:
    assert moment(1_769_508_900.2) == "2026-01-27 10:15:00 UTC"
    assert moment(1e20) == moment(float("nan")) == "a time that is none"
    seconds = {
        0: "0 s",
        0.4: "0 s",
        59: "59 s",
        60: "1 min",
        3_725: "1 h 2 min",
        90_000: "1 d 1 h",
        86_401: "1 d",
        -5: "5 s",
    }
    assert {each: span(each) for each in seconds} == seconds
    assert span(float("inf")) == span(float("nan")) == "an unknown time"
