"""For all warrants: what is written is read back, each field is bound, and no two share a text."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.core.errors import Refused
from app.core.warrant import Warrant, digest_of, read
from tests.unit.core.samples import WARRANT

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(["", " ", "%", "\n", "\x9b"])
words = st.from_regex(r"[A-Za-z0-9@._:/=+,-]{1,20}", fullmatch=True)
lines = st.lists(st.from_regex(r"[!-~]{1,12}", fullmatch=True), min_size=1, max_size=4).map(" ".join)
warrants = st.builds(
    Warrant,
    **{field.name: texts for field in fields(Warrant) if field.type is str},
    argv=st.lists(words, max_size=5).map(tuple),
    identity=st.lists(lines, max_size=5).map(tuple),
    not_after=st.integers(0, 4_102_444_800),
)


@pytest.mark.law(5)
@given(warrants)
def test_a_warrant_reads_back_as_it_was_written(warrant: Warrant) -> None:
    text = warrant.text()
    assert text.isascii()
    assert text.isprintable() or set(text) - set(map(chr, range(0x20, 0x7F))) == {"\n"}
    assert read(text) == warrant


@pytest.mark.law(5)
@pytest.mark.threat("C1")
@pytest.mark.threat("B17")
@settings(max_examples=400)
@given(warrants, warrants, st.sampled_from([field.name for field in fields(Warrant)]))
def test_any_single_field_changed_is_another_digest(warrant: Warrant, other: Warrant, name: str) -> None:
    change: dict[str, Any] = {name: getattr(other, name)}
    changed = replace(warrant, **change)
    assume(changed != warrant)
    assert changed.digest != warrant.digest


@pytest.mark.law(5)
@pytest.mark.threat("C2")
@given(warrants, warrants)
def test_no_two_warrants_have_the_same_text(one: Warrant, other: Warrant) -> None:
    assert (one.text() == other.text()) == (one == other)


@pytest.mark.threat("C2")
@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_no_two_texts_are_written_alike_even_of_bytes_that_are_no_text(one: str, other: str) -> None:
    written = []
    for reason in (one, other):
        try:
            written.append(replace(WARRANT, reason=reason).text())
        except Refused:
            written.append(reason + "\n")
    assert (written[0] == written[1]) == (one == other)


@pytest.mark.law(5)
@settings(max_examples=400)
@given(warrants, st.data())
def test_a_text_with_any_one_character_changed_is_refused_or_another_warrant(
    warrant: Warrant, data: st.DataObject
) -> None:
    text = warrant.text()
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(max_codepoint=0x7F) | st.just(""))
    changed = text[:place] + character + text[place + 1 :]
    assume(changed != text)
    try:
        other = read(changed)
    except Refused:
        return
    assert other != warrant
    assert other.text() == changed
    assert digest_of(changed) != warrant.digest


@given(st.text(max_size=200) | st.text("askfirst-warrant 1\nid service argv %0AZ:T", max_size=200))
def test_whatever_is_no_warrant_is_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(Refused):
        read(text)
