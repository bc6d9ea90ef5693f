"""The README tells of every command that there is, and of none that is not; so of settings docs/operating.md."""

import re
from pathlib import Path
from typing import Any

import typer

from app.cli.main import app
from app.core.level import RAISE, STOLEN, Level
from app.settings import Settings
from app.web.words import ROLES

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()


def commands() -> dict[str, Any]:
    """Return every command by its words, such as ``registry plan``."""
    found: dict[str, Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        if hasattr(command, "commands"):
            for name, each in command.commands.items():
                walk(each, (*words, name))
        else:
            found[" ".join(words)] = command

    walk(typer.main.get_command(app), ())
    return found


def told() -> dict[str, str]:
    """Return each command of the README's table, with what is said of it."""
    rows = re.findall(r"^\| `askfirst ([^`]+)` \| (.+) \|$", README, re.MULTILINE)
    return {re.match(r"[a-z]+( [a-z]+)?", words)[0].strip(): said for words, said in rows}  # type: ignore[index]


def test_the_table_of_commands_is_the_commands() -> None:
    there = {"request" if name == "request ask" else name for name in commands()}
    assert sorted(told()) == sorted(there)


def test_each_command_is_told_of_in_its_own_words() -> None:
    for name, command in commands().items():
        said = told()["request" if name == "request ask" else name]
        first = (command.help or "").split("\n\n")[0].replace("\n", " ").strip()
        assert said == first, name


def test_each_option_in_the_table_is_an_option() -> None:
    there = commands()
    for words in re.findall(r"^\| `askfirst ([^`]+)` \|", README, re.MULTILINE):
        name = re.match(r"[a-z]+( [a-z]+)?", words)[0].strip()  # type: ignore[index]
        options = {each for parameter in there.get(name, there["request ask"]).params for each in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", words)) <= options, words


def test_the_settings_that_are_told_of_are_the_settings() -> None:
    rows = dict(re.findall(r"^\| `ASKFIRST_([A-Z_]+)` \| (.+?) \|", OPERATING, re.MULTILINE))
    there = {name.upper(): each.description for name, each in Settings.model_fields.items()}
    assert rows == there


def test_every_command_that_answers_does_so_in_json() -> None:
    silent = {"serve", "signer", "demo", "audit export", "audit bundle"}
    without = [name for name, each in commands().items() if not any("--json" in one.opts for one in each.params)]
    assert set(without) == silent


def test_each_role_is_told_of_in_the_words_of_the_pages() -> None:
    section = README.partition("### Who may do what\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^- `([a-z]+)` (.+?)\.", section, re.MULTILINE))
    assert rows == {str(role): words for role, words in ROLES.items()}


def test_the_table_of_levels_says_what_the_pages_say() -> None:
    section = README.partition("### The kit of a host\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([a-z]+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(str(level), STOLEN[level], RAISE[level].replace("{host}", "HOST")) for level in Level]
