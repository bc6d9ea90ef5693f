"""What holds for every template and static file: nothing inline, nothing unescaped, nothing from elsewhere, no gap."""

import re
from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError

from app.core.lifecycle import State
from app.core.policy import Assurance, Role
from app.core.verdict import Answer, Code
from app.paths import TEMPLATES
from app.web import setup, words
from app.web.pages import Site

ALL = sorted(TEMPLATES.rglob("*.html"))
STATIC = Path(setup.__file__).parent / "static"
TEXTS = {str(path.relative_to(TEMPLATES)): path.read_text() for path in ALL}


@pytest.mark.threat("E9")
def test_there_is_no_way_to_switch_escaping_off() -> None:
    site = Site("http://127.0.0.1:8770", {})
    assert site.templates.autoescape is True
    with pytest.raises(TemplateSyntaxError):
        site.templates.from_string("{{ x | safe }}")
    wrong = [name for name, text in TEXTS.items() if re.search(r"\|\s*safe|autoescape|Markup|xmlattr", text)]
    assert wrong == []


@pytest.mark.threat("E9")
def test_what_stands_between_backticks_is_code_and_all_of_it_is_escaped() -> None:
    made = Site("http://127.0.0.1:8770", {}).templates.from_string("{{ x | coded }}")
    assert made.render(x="Run `askfirst <b>` & go") == "Run <code>askfirst &lt;b&gt;</code> &amp; go"
    assert made.render(x="one ` alone <b>") == "one ` alone &lt;b&gt;"


@pytest.mark.parametrize("name", list(TEXTS))
def test_a_template_compiles_and_holds_nothing_inline(name: str) -> None:
    text = TEXTS[name]
    Site("http://127.0.0.1:8770", {}).templates.get_template(name)
    assert not re.search(r"\son\w+\s*=|\sstyle\s*=|<style|javascript:", text)
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    assert re.findall(r"""(?:href|src|action)="(?:https?:)?//""", text) == []
    assert "|safe" not in text.replace(" ", "")


def test_no_static_file_reaches_outside() -> None:
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|url\(", text), path
        assert "innerHTML" not in text, path
        assert "eval(" not in text, path
        assert len(text.splitlines()) <= 400, path


def test_every_form_that_posts_carries_the_token_or_is_for_visitors() -> None:
    for name, text in TEXTS.items():
        for form in re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL):
            assert "token(page)" in form or name.startswith("session/s"), (name, form[:200])


def test_every_state_verdict_need_role_and_level_has_its_words() -> None:
    assert set(words.STATES) == set(State)
    assert set(words.VERDICTS) == set(Code)
    assert set(words.NEEDS) == set(Answer)
    assert set(words.ROLES) == set(Role)
    assert set(words.ASSURANCES) == set(Assurance)
    for sign in words.STATES.values():
        assert sign.word
        assert sign.icon
        assert sign.tone
        assert sign.next_step.endswith(".")


def test_every_icon_and_every_class_of_a_state_exists() -> None:
    marks = TEXTS["parts/marks.html"]
    drawn = set(re.findall(r'^  "(\w+)": ', marks, re.MULTILINE))
    signs: list[words.Sign | words.Reading] = [
        *words.STATES.values(),
        *words.NEEDS.values(),
        *words.VERDICTS.values(),
    ]
    used = {sign.icon for sign in signs}
    used |= {icon for text in TEXTS.values() for icon in re.findall(r'icon\("(\w+)"', text)}
    assert used <= drawn
    css = (STATIC / "ask.css").read_text()
    tones = {sign.tone for sign in signs}
    assert [tone for tone in tones if f"\n.{tone} {{" not in css] == []


def test_a_page_is_small() -> None:
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 60_000
