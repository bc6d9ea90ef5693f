"""A text is named by a salted hash, which nobody can guess a short text from."""

import hashlib

import pytest

from app.core.commitment import Text


@pytest.mark.threat("F10")
def test_the_same_text_has_another_name_under_another_salt() -> None:
    one, other = Text(b"0" * 16, "no"), Text(b"1" * 16, "no")
    assert one.commitment != other.commitment
    assert one.commitment != f"sha256:{hashlib.sha256(b'no').hexdigest()}"
    assert one.commitment == f"sha256:{hashlib.sha256(b'0' * 16 + b'no').hexdigest()}"


def test_bytes_that_were_no_text_have_a_name_too() -> None:
    assert Text(b"0" * 16, "\udc9b").commitment.startswith("sha256:")
