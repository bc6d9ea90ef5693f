"""For all texts: nothing that a screen acts on is left, and what was treated once is treated for good."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.display import argv, masked, visible

anything = st.text(st.characters(), max_size=300)
secrets = st.from_regex(r"[A-Za-z0-9!#$%()*+/;<>?@^_~-]{6,30}", fullmatch=True).filter(lambda text: "•" not in text)
HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.law(13)
@pytest.mark.threat("E2")
@pytest.mark.threat("E3")
@pytest.mark.threat("E6")
@given(anything)
def test_nothing_harmful_is_left(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(character) for character in shown} & HARMFUL
    assert {character for character in shown if unicodedata.category(character) == "Zs"} <= {" "}
    shown.encode()


@pytest.mark.law(13)
@given(anything)
def test_what_is_visible_stays_as_it_is(text: str) -> None:
    assert visible(visible(text), cap=100_000) == visible(text)


@given(st.text(st.characters(), min_size=1, max_size=300), st.integers(1, 50))
def test_no_text_is_shown_longer_than_its_cap_allows(text: str, cap: int) -> None:
    longest = len("‹U+10FFFF›")
    assert len(visible(text, cap)) <= cap * longest + len("… 300 more")


@pytest.mark.law(13)
@given(anything)
def test_what_is_masked_stays_as_it_is(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.law(13)
@pytest.mark.threat("E5")
@given(
    st.sampled_from(
        ["--password=", "--api-key=", "DB_PASSWORD=", "token: ", "--client-secret ", '"passwd": ', "--key="]
    ),
    secrets,
    st.text(" \n.,", max_size=20),
    st.text(" \n.,", max_size=20),
)
def test_no_listed_form_lets_its_secret_through(name: str, secret: str, before: str, after: str) -> None:
    assert secret not in masked(f"{before} {name}{secret} {after}")


@pytest.mark.law(13)
@pytest.mark.threat("E5")
@given(st.lists(anything, max_size=5), st.sampled_from(["--password", "--db-token", "-secret"]), secrets)
def test_no_command_line_shows_the_word_after_a_secret_option(words: list[str], option: str, secret: str) -> None:
    if not secret.startswith("--"):
        shown = argv(["run", option, secret], cap=10_000)
        assert secret not in shown
    assert not {unicodedata.category(character) for character in argv(words)} & HARMFUL
