"""The map of a host: what it says, that every text fits its box, and that much stays readable."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from app.core.discovery import Standing
from app.core.facts import Facts, Listener, Process, Record
from app.core.registry import Registry
from app.core.service import Service
from app.flow.discover import Discovery, discovered
from app.managers import MANAGERS
from app.web import drawing
from app.web.drawing import Picture, pictures
from app.web.hostmap import MOST_ROWS, Map, map_of
from app.web.pages import Site
from tests.output.whole import HOST, REGISTRY, facts

FACTS = facts()
FOUND = discovered(REGISTRY, HOST, FACTS)
NOW = FACTS.now


def drawn(found: Discovery = FOUND, *, may_edit: bool = True) -> Map:
    return map_of(found, MANAGERS, may_edit=may_edit)


def busy(count: int) -> Discovery:
    """The host with so many more services, each a unit of systemd's with a port and two workers."""
    processes, listeners, units = dict(FACTS.processes), list(FACTS.listeners), list(FACTS.own["systemd"])
    for number in range(count):
        name = f"worker-{number}.service"
        group = f"/system.slice/{name}"
        told = {"id": name, "names": name, "pid": str(20_000 + number * 10), "cgroup": group, "active": "active"}
        units.append(Record("systemd.unit", told))
        for child in range(3):
            pid = 20_000 + number * 10 + child
            parent = 1 if child == 0 else 20_000 + number * 10
            argv = ("/opt/worker", str(number))
            processes[pid] = Process(pid, parent, pid, NOW - 60, 1000, "rbron", "worker", argv, group, "/opt/worker", 0)
        listeners.append(Listener(20_000 + number, "127.0.0.1", 1000, (20_000 + number * 10,)))
    seen: Facts = replace(
        FACTS, processes=processes, listeners=tuple(listeners), own={**FACTS.own, "systemd": tuple(units)}
    )
    return discovered(REGISTRY, HOST, seen)


def test_every_thing_that_runs_is_a_row_and_a_line() -> None:
    shown = drawn()
    things = [each for each in FOUND.running if each.standing is not Standing.SYSTEM]
    assert len(shown.lines) == len(things)
    assert sum(len(group.rows) for group in shown.groups) == len(things) + len(FOUND.lost)
    assert not shown.is_folded
    assert len(shown.own) == len(FOUND.running) - len(things)


def test_what_the_registry_speaks_of_comes_first_and_what_nobody_keeps_last() -> None:
    labels = [group.label for group in drawn().groups]
    assert labels.index("systemd") < labels.index("Docker") < labels.index("no manager")
    assert labels[-1] == "nothing runs"


def test_wrong_and_unregistered_are_marked_by_word_icon_and_tone() -> None:
    rows = {row.name: row for group in drawn().groups for row in group.rows}
    assert (rows["guitpl@5061.service"].sign.icon, rows["guitpl@5061.service"].sign.tone) == ("x", "no")
    assert rows["guitpl@5061.service"].says == "gui-5061: WRONG_USER"
    assert (rows["plain"].sign.icon, rows["plain"].sign.tone, rows["plain"].says) == ("plus", "wait", "not registered")
    assert (rows["lab:pypnm-gui"].says, rows["lab:pypnm-gui"].sign.tone) == ("pypnm-gui", "yes")
    assert rows["lab:pypnm-gui"].warns == "also pypnm-gui-backend: NO_SUCH_UNIT"
    assert rows["lazy"].process == "nothing runs; a start may be asked for"


def test_only_an_editor_gets_the_way_to_a_filled_claim() -> None:
    def ways(shown: Map) -> list[str]:
        rows = [row.href for group in shown.groups for row in group.rows]
        return [href for href in (*rows, *(line.register for line in shown.lines)) if href.startswith("/registry/")]

    assert len(ways(drawn())) >= 20
    assert ways(drawn(may_edit=False)) == []


def test_two_hundred_services_stay_readable_and_the_table_has_each() -> None:
    shown = drawn(busy(200))
    assert len(shown.lines) > 200
    assert sum(len(group.rows) for group in shown.groups) <= MOST_ROWS
    assert shown.is_folded
    (row,) = [row for group in shown.groups for row in group.rows if "worker" in row.name]
    assert (row.name, row.process, row.pills[0].text) == (
        "worker-*.service ×200",
        "worker · 600 processes",
        ":20000…20199",
    )
    assert row.pills[0].is_local
    assert next(group.count for group in shown.groups if row in group.rows) > 200


@pytest.mark.parametrize("index", [0, 1])
def test_no_box_leaves_the_picture_and_no_text_its_box(index: int) -> None:
    picture: Picture = pictures(drawn())[index]
    for box in picture.boxes:
        assert box.x + box.width <= picture.width
        assert box.y + box.height <= picture.height
        for text in box.texts:
            advance = drawing.MONO if text.kind == "name" else drawing.SANS if not text.kind else drawing.BOLD
            assert text.x + len(text.text) * advance <= max(box.x + box.width, box.x + 60) + 12, text
    assert picture.width == (1060, 312)[index]


def test_boxes_of_a_picture_do_not_lie_over_each_other() -> None:
    """Also where a row is taller, since something wrong is claimed of it too."""
    wrong = Service("also", "alpha", "lab-team", "systemd", "also.service", None, None, (5054,))
    registry = replace(REGISTRY, services=(*REGISTRY.services, wrong))
    for picture in pictures(drawn(discovered(registry, HOST, facts(registry)))):
        inner = [box for box in picture.boxes if box.width and not box.kind.startswith("pill")]
        for number, one in enumerate(inner):
            for two in inner[number + 1 :]:
                is_beside = one.x + one.width <= two.x or two.x + two.width <= one.x
                assert is_beside or one.y + one.height <= two.y or two.y + two.height <= one.y, (one, two)


def page(shown: Map) -> str:
    template = Site("http://127.0.0.1", {"ask.css": "", "ask.js": "", "mark.svg": ""}).templates
    macro = template.get_template("hosts/map.html").module
    return str(macro.whole(shown, pictures(shown), "alpha", NOW))  # type: ignore[attr-defined]


@pytest.mark.law(13)
def test_the_picture_is_well_formed_whatever_the_host_shows_and_names_itself() -> None:
    text = page(drawn())
    svgs = re.findall(r"<svg class=\"map.*?</svg>(?=\s*(?:<svg class=\"map|<p ))", text, re.DOTALL)
    assert len(svgs) == 2
    for svg in svgs:
        root = ET.fromstring(svg)  # noqa: S314 - our own text
        title, desc = root[0], root[1]
        assert title.tag == "title"
        marks = list(root.iter("svg"))[1:]
        assert len(marks) >= len(FOUND.lost) + 25
        assert {(each.get("width"), each.get("height")) for each in marks} == {("14", "14")}
        assert desc.text, "a screen reader is told what the picture shows"
        assert " things run: 5 registered, 2 registered wrong, " in desc.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert "onerror" not in re.sub(r"&lt;.*?(&gt;|</code>)", "", text, flags=re.DOTALL)
    assert "\u202e" not in text
    assert "hunter2" not in text


def test_nothing_runs_is_said_and_not_drawn() -> None:
    empty = discovered(Registry((HOST,), (), ()), HOST, replace(FACTS, processes={}, listeners=(), asked=()))
    assert "Nothing runs there but the machine&#39;s own" in page(drawn(empty)) or "Nothing runs there" in page(
        drawn(empty)
    )
