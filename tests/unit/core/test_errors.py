"""The tree of errors: each says what happened and what to do next, and the base is never raised."""

import re

import pytest

from app.core import errors
from app.core.errors import AskfirstError, Refused

KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, AskfirstError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not AskfirstError])
def test_an_error_has_a_code_a_sentence_and_a_next_step(kind: type[AskfirstError]) -> None:
    error = kind("It is so.", next_step="Do this.")
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert (str(error), error.message, error.next_step) == ("It is so.", "It is so.", "Do this.")
    assert kind("x", next_step="y", code="special").code == "special"


def test_each_kind_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_the_base_is_not_raised() -> None:
    with pytest.raises(TypeError):
        AskfirstError("x", next_step="y")


def test_nobody_writes_an_error_without_a_next_step() -> None:
    with pytest.raises(TypeError):
        Refused("x")  # type: ignore[call-arg]


def test_the_drawing_names_every_kind() -> None:
    for kind in KINDS:
        assert kind.__name__ in (errors.__doc__ or "")
