"""A check is green by what was answered, and never by what could not be read."""

import pytest

from app.core.checks import BODY_BYTES, judge_http, judge_json, judge_tcp, no_answer
from app.core.service import HttpCheck, JsonCheck, TcpCheck

URL = "http://127.0.0.1:5050/api/constellation"
TFTP = JsonCheck(URL, "tftp.server", "172.22.147.18")


def answer(body: str | bytes, check: JsonCheck = TFTP, status: int = 200) -> tuple[bool, str]:
    checked = judge_json(check, status, body if isinstance(body, bytes) else body.encode())
    assert checked.label == check.label
    return checked.is_green, checked.seen


@pytest.mark.law(11)
def test_the_incidents_own_check_tells_the_old_server_from_the_new() -> None:
    assert answer('{"tftp": {"server": "172.22.147.18"}}') == (True, "tftp.server is 172.22.147.18")
    assert answer('{"tftp": {"server": "10.0.0.1"}}') == (False, "tftp.server is 10.0.0.1, expected 172.22.147.18")


@pytest.mark.parametrize(
    ("field", "equals", "body"),
    [
        ("a.0.b", "x", '{"a": [{"b": "x"}]}'),
        ("0", "x", '["x"]'),
        ("n", "1.0", '{"n": 1.0}'),
        ("n", "1", '{"n": 1}'),
        ("n", "true", '{"n": true}'),
        ("n", "null", '{"n": null}'),
        ("n", "", '{"n": ""}'),
        ("n", "9" * 900, '{"n": ' + "9" * 900 + "}"),
        ("n", "é", '\ufeff{"n": "é"}'),
    ],
)
def test_a_value_is_found_by_its_path_and_compared_as_it_is_written(field: str, equals: str, body: str) -> None:
    assert answer(body, JsonCheck(URL, field, equals))[0]


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("{}", "the answer has no tftp"),
        ('{"tftp": {}}', "tftp has no server"),
        ('{"tftp": "x"}', "tftp has no server"),
        ('{"tftp": [1]}', "tftp has no server"),
        ('{"tftp": {"server": ["172.22.147.18"]}}', "tftp.server is a list of 1, not a single value"),
        ('{"tftp": {"server": {}}}', "tftp.server is an object, not a single value"),
        ('{"tftp": {"server": "a"}, "tftp": {"server": "b"}}', "the answer writes tftp twice in one object"),
        ("<html>\x1b[2J", "the answer is not JSON: <html>‹ESC›[2J"),
        ("", "the answer is not JSON: "),
        ('{"tftp": NaN}', "the answer is not JSON: it holds NaN"),
        (b"\xff\xfe", "the answer is not JSON: \ufffd\ufffd"),
        ("[" * 100_000, "the answer is nested too deep, and was not read"),
        (b" " * (BODY_BYTES + 1), "the answer is longer than 1 MiB, and was not read"),
    ],
)
@pytest.mark.threat("E6")
def test_what_cannot_be_read_is_never_green(body: str | bytes, seen: str) -> None:
    assert answer(body) == (False, seen)


@pytest.mark.parametrize("index", ["1", "-1", "01x", "9" * 5_000, "٣"])
def test_an_index_that_a_list_has_not_is_no_error(index: str) -> None:
    assert not answer('["x"]' if index != "٣" else '["x", "x", "x", "x"]', JsonCheck(URL, index, "x"))[0]


def test_an_answer_of_exactly_the_most_is_read() -> None:
    body = b'{"tftp": {"server": "172.22.147.18"}}'
    assert answer(body + b" " * (BODY_BYTES - len(body)))[0]


@pytest.mark.parametrize("status", [199, 301, 404, 500])
def test_a_json_answer_with_another_status_is_not_green(status: int) -> None:
    assert answer('{"tftp": {"server": "172.22.147.18"}}', status=status)[0] is False


@pytest.mark.law(13)
@pytest.mark.threat("E5")
def test_the_value_shown_is_capped_masked_and_visible() -> None:
    seen = answer('{"tftp": {"server": "\\u001b[2J password=hunter2 ' + "x" * 500 + '"}}')[1]
    assert "‹ESC›[2J password=•••" in seen
    assert "hunter2" not in seen
    assert "more, expected" in seen


def test_a_status_is_green_only_if_it_is_the_claimed_one() -> None:
    check = HttpCheck("http://127.0.0.1:5050/health", 204)
    assert judge_http(check, 204).is_green
    assert judge_http(check, 200).seen == "status 200, expected 204"
    assert not judge_http(check, 200).is_green


def test_a_connection_is_green_and_none_is_not() -> None:
    check = TcpCheck(5050)
    assert judge_tcp(check).is_green
    refused = no_answer(check, "refused\x1b")
    assert (refused.is_green, refused.seen, refused.label) == (False, "no answer: refused‹ESC›", check.label)
