"""What is printed is cut at line ends, and not within a private key that still comes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flow.printed import Cutter

BEGIN, END = b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----"
PIECES = [
    BEGIN,
    END,
    b"-----BEGIN PRIVATE KEY",
    b"-----",
    b"END",
    b"BEGIN PRIVATE KEY-----",
    b"\n",
    b"line\n",
    b"x" * 70,
]
# The same said in one pattern, which takes the square of the time.
OPEN = re.compile(rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?![\s\S]*-----END)")


@pytest.mark.law(13)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_nothing_is_given_out_from_where_a_key_begins_that_has_not_ended(data: bytes) -> None:
    cutter = Cutter()
    cutter.take(data, is_over=False)
    whole = data.rfind(b"\n") + 1
    key = OPEN.search(data, 0, whole)
    assert cutter.offset == (data.rfind(b"\n", 0, key.start()) + 1 if key else whole)


@pytest.mark.law(13)
def test_an_output_that_begins_keys_without_end_holds_up_nobody() -> None:
    """A megabyte of it: what takes the square of the time would not come back within the hour."""
    data = (BEGIN + b"\n") * 29_000 + END + b"\n"
    cutter = Cutter()
    cutter.take(data, is_over=False)
    assert cutter.offset == len(data)
