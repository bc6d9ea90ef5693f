from dataclasses import replace

import pytest

from app.core.facts import Facts, Listener, Process, Record
from app.core.judge import judge
from app.core.manager import Action, Command, Found, Missing, Nearness, Owner, Unseen
from app.core.verdict import Code, Verdict
from app.managers import MANAGERS
from tests.unit.managers.constructed import BOOT, claim, host, process

pm2 = MANAGERS["pm2"]
HOME, SECOND = "/home/rbron/.pm2", "/home/rbron/.pm2-b"


def god_of(home: str, pid: int = 1080) -> Process:
    return process(pid, "PM2 v7.0.4: God", exe="/usr/bin/node", argv=(f"PM2 v7.0.4: God Daemon ({home})", "", ""))


GOD = god_of(HOME)
MAIN = process(1098, "gunicorn", ppid=1080)
WORKER = process(1107, "gunicorn", ppid=1098)
GUI = claim("pm2", "gui", user="rbron", path="/srv", ports=(5055,))


def daemon(**fields: str) -> Record:
    plain = {"pid": "1080", "home": HOME, "user": "rbron", "distrust": "", "default": "yes", "answered": "yes"}
    return Record("pm2.daemon", {**plain, **fields})


def app(name: str = "gui", main: int = 1098, **fields: str) -> Record:
    plain = {"god": "1080", "id": "0", "name": name, "main": str(main), "mode": "fork_mode", "state": "online"}
    return Record("pm2.app", {**plain, "unstable": "0", **fields})


def owner(facts: Facts, pid: int = 1107) -> Owner | None:
    return pm2.recognise(facts.chain(pid), 5055, facts)


def verdict(facts: Facts, **fields: object) -> Verdict:
    service = replace(GUI, **fields)  # type: ignore[arg-type]
    found = pm2.find(service, facts)
    mains = found.main if isinstance(found, Found) else ()
    lines = tuple(f"process {pid} {pid * 100} rbron /srv" for pid in mains)
    seen = replace(facts, asked=(service.name,), identity={service.name: ("boot b", *lines)})
    return judge(service, seen, MANAGERS, "g")


@pytest.mark.law(1)
def test_a_process_is_led_to_the_application_that_its_daemon_lists() -> None:
    found = owner(host(GOD, MAIN, WORKER, records=[daemon(), app("other", 1999), app()]))
    assert found is not None
    assert (found.unit, found.nearness, found.main, found.depth) == ("gui", Nearness.ANCESTOR, 1098, 2)
    assert found.is_believed
    assert HOME in found.evidence


@pytest.mark.law(1)
@pytest.mark.parametrize("records", [[], [daemon()], [daemon(), app(main=1107)], [daemon(), app(god="2080")]])
def test_a_process_that_its_daemon_does_not_list_has_no_name_and_no_believed_owner(records: list[Record]) -> None:
    found = owner(host(GOD, MAIN, WORKER, records=records))
    assert found is not None
    assert (found.unit, found.is_believed) == (None, False)


@pytest.mark.law(1)
@pytest.mark.parametrize(
    ("god", "main", "told"),
    [
        (replace(GOD, exe_uid=1001), MAIN, daemon()),
        (replace(GOD, exe_uid=None, exe=None), MAIN, daemon()),
        (GOD, MAIN, daemon(distrust=f"its home {HOME} belongs to node")),
        (GOD, MAIN, daemon(home=SECOND)),
        (GOD, replace(MAIN, uid=0), daemon()),
        (GOD, replace(MAIN, uid=1001), daemon()),
    ],
    ids=["others' program", "unseen program", "others' home", "another home", "root's child", "another user's child"],
)
def test_what_an_ordinary_user_can_make_up_is_no_proof(god: Process, main: Process, told: Record) -> None:
    facts = host(god, main, records=[told, app()])
    found = owner(facts, 1098)
    assert found is not None
    assert not found.is_believed
    assert verdict(facts).code is not Code.VERIFIED


@pytest.mark.law(1)
def test_a_list_that_names_a_process_which_is_no_child_of_the_daemon_proves_nothing() -> None:
    """The user's daemon says that root's process, or somebody else's, is its own application."""
    stranger = process(1098, "sshd", uid=0, ppid=1)
    facts = host(GOD, stranger, records=[daemon(), app()], listeners=[Listener(5055, "127.0.0.1", 0, (1098,))])
    assert owner(facts, 1098) is None
    assert verdict(facts).code is Code.WRONG_MANAGER


@pytest.mark.law(1)
@pytest.mark.parametrize(
    "forged",
    [
        process(1080, "PM2 v9", exe="/usr/bin/python3", argv=(f"PM2 v9: God Daemon ({HOME})",)),
        process(1080, "PM2 v9", exe="/usr/bin/node", argv=("node", "server.js")),
        process(1080, "PM2 version", exe="/usr/bin/node", argv=(f"PM2 v9: God Daemon ({HOME})",)),
    ],
    ids=["another program", "another command line", "another name"],
)
def test_a_process_that_only_calls_itself_pm2_is_not_recognised(forged: Process) -> None:
    facts = host(forged, MAIN, records=[daemon(), app()])
    assert pm2.recognise(facts.chain(1098), 5055, facts) is None


def test_roots_own_daemon_speaks_for_the_users_that_it_runs_things_as() -> None:
    roots = replace(god_of("/root/.pm2"), uid=0, user="root")
    facts = host(roots, MAIN, records=[daemon(home="/root/.pm2", user="root"), app()])
    found = owner(facts, 1098)
    assert found is not None
    assert found.is_believed
    made = pm2.restart(replace(GUI, config="/root/.pm2"), "gui", facts)
    assert made == Command(("env", "PM2_HOME=/root/.pm2", "pm2", "restart", "gui"), "root")


@pytest.mark.law(4)
def test_the_restart_is_words_by_the_daemons_own_user_and_names_another_home() -> None:
    facts = host(
        GOD,
        god_of(SECOND, 2080),
        records=[daemon(), daemon(pid="2080", home=SECOND, default="no")],
    )
    assert pm2.restart(GUI, "gui", facts) == Command(("pm2", "restart", "gui"), "rbron")
    second = replace(GUI, config=SECOND)
    made = Command(("env", f"PM2_HOME={SECOND}", "pm2", "restart", "gui"), "rbron")
    assert pm2.restart(second, "gui", facts) == pm2.start(second, "gui", facts) == made


def test_a_reload_makes_new_processes_and_is_not_offered_as_something_gentler() -> None:
    facts = host(GOD, MAIN, records=[daemon(), app(mode="cluster_mode")])
    assert Action.RELOAD not in pm2.gentler(GUI, "gui", facts)


def test_one_user_may_have_several_homes_with_like_names_in_them() -> None:
    other = process(2098, "gunicorn", ppid=2080)
    facts = host(
        *(GOD, MAIN, god_of(SECOND, 2080), other),
        records=[daemon(), app(), daemon(pid="2080", home=SECOND, default="no"), app("gui", 2098, god="2080")],
    )
    assert pm2.find(GUI, facts) == Found("gui", "online", (1098,))
    assert pm2.find(replace(GUI, config=SECOND), facts) == Found("gui", "online", (2098,))
    assert pm2.find(replace(GUI, unit="api"), facts) == Missing(())
    assert pm2.find(replace(GUI, unit="gui-x"), facts) == Missing(("gui",))


@pytest.mark.parametrize(
    "records",
    [
        [],
        [daemon(user="node")],
        [daemon(user="node"), daemon(user="blind", pid="2080"), app("api"), app("api", god="2080")],
        [daemon(default="no")],
        [daemon(answered="no"), app()],
        [daemon(distrust="its home belongs to node", answered="no")],
        [daemon(), daemon(pid="2080"), app()],
    ],
)
def test_without_the_one_daemon_and_its_answer_nothing_is_known_to_be_missing(records: list[Record]) -> None:
    assert isinstance(pm2.find(replace(GUI, unit="api"), host(GOD, MAIN, records=records)), Unseen)


def cluster(*apps: Record, held: int = 5055) -> Facts:
    one, other = (process(pid, "node /srv/c.js", ppid=1080, exe="/usr/bin/node") for pid in (1098, 1099))
    return host(GOD, one, other, records=[daemon(), *apps], listeners=[Listener(held, "127.0.0.1", 1000, (1080,))])


CLUSTER = (app(mode="cluster_mode"), app(main=1099, id="1", mode="cluster_mode"))


@pytest.mark.law(1)
def test_in_cluster_mode_the_daemon_holds_the_port_for_its_workers() -> None:
    facts = cluster(*CLUSTER)
    found = pm2.recognise(facts.chain(1080), 5055, facts)
    assert found is not None
    assert (found.unit, found.depth, found.is_believed) == ("gui", 0, True)
    assert pm2.find(GUI, facts) == Found("gui", "online", (1098, 1099), (5055,))
    assert verdict(facts).code is Code.VERIFIED
    assert verdict(facts, ports=(5056,)).code is Code.WRONG_PORT
    assert verdict(facts, user="root").code is Code.WRONG_USER


@pytest.mark.law(1)
def test_a_port_that_a_daemon_holds_for_one_of_several_applications_proves_none_of_them() -> None:
    facts = cluster(*CLUSTER[:1], app("api", 1099, id="1", mode="cluster_mode"))
    found = pm2.recognise(facts.chain(1080), 5055, facts)
    assert found is not None
    assert found.unit is None
    assert "api, gui" in found.evidence
    assert verdict(facts).code is Code.AMBIGUOUS
    assert verdict(facts, unit="api").code is Code.AMBIGUOUS


@pytest.mark.law(1)
def test_a_port_in_cluster_mode_is_not_that_of_an_application_that_forks() -> None:
    facts = cluster(app("api", 1099, id="1", mode="cluster_mode"), app())
    assert verdict(facts).code is Code.AMBIGUOUS
    assert pm2.recognise(facts.chain(1080), None, facts) is None
    alone = cluster(app())
    assert pm2.recognise(alone.chain(1080), 5055, alone) is None


@pytest.mark.law(1)
def test_a_worker_that_is_no_child_of_the_daemon_makes_its_port_no_proof() -> None:
    stranger = process(1100, "node", exe="/usr/bin/node")
    facts = cluster(*CLUSTER[:1], app(main=1100, id="1", mode="cluster_mode"))
    facts = replace(facts, processes={**facts.processes, 1100: stranger})
    found = pm2.recognise(facts.chain(1080), 5055, facts)
    assert found is not None
    assert not found.is_believed


def test_a_claim_for_a_user_without_a_daemon_is_looked_up_where_that_application_runs() -> None:
    facts = host(GOD, MAIN, records=[daemon(), app()], listeners=[Listener(5055, "127.0.0.1", 1000, (1098,))])
    assert verdict(facts).code is Code.VERIFIED
    assert verdict(facts, user="node").code is Code.WRONG_USER


def test_an_application_that_is_stopped_is_down() -> None:
    facts = host(GOD, records=[daemon(), app(main=0, state="stopped")])
    assert pm2.find(GUI, facts) == Found("gui", "stopped")


def test_signs_are_what_pm2_says_of_an_application_that_does_not_stay() -> None:
    errored = host(GOD, records=[daemon(), app(main=0, state="errored"), app("api", 0, state="errored")])
    (sign,) = pm2.signs(GUI, errored)
    assert sign.kind == "state"
    assert pm2.signs(GUI, host(GOD, records=[daemon(), app(main=0), app("api", 0, state="errored")])) == ()
    unstable = replace(host(GOD, MAIN, records=[daemon(), app(unstable="3")]), now=BOOT + 1200)
    (sign,) = pm2.signs(GUI, unstable)
    assert (sign.kind, "3 times" in sign.text) == ("restarts", True)
    assert pm2.signs(GUI, host(GOD, MAIN, records=[daemon(), app()])) == ()
    assert pm2.signs(GUI, host()) == ()


def test_a_claim_has_to_name_the_user() -> None:
    assert [problem.field for problem in pm2.problems(claim("pm2", "gui-pm2"))] == ["user"]
    assert pm2.problems(claim("pm2", "gui-pm2", user="node")) == []


@pytest.mark.parametrize(
    "unit", ["all", "0", "12", "1e3", "0x1f", "1.5", "/gui/", "a/b", "app.json", "pm2.config.cjs", "x.yml", "x.yaml"]
)
def test_what_pm2_takes_for_more_or_for_something_else_than_one_name_is_refused_where_it_is_written(unit: str) -> None:
    assert [problem.field for problem in pm2.problems(claim("pm2", unit, user="node"))] == ["unit"]


@pytest.mark.parametrize("unit", ["gui", "api.v2", "3d-viewer", "all-in-one", "2048_game"])
def test_a_name_that_only_looks_a_little_like_it_is_a_name(unit: str) -> None:
    assert pm2.problems(claim("pm2", unit, user="node")) == []


@pytest.mark.law(11)
def test_a_new_incarnation_is_told_by_its_processes() -> None:
    lines = ("boot b", "process 355 9 node /srv", "process 356 9 node /srv", "app gui 0 fork_mode online", "home /h")
    assert pm2.mark(lines) == ("boot b process 355 9 node /srv", "boot b process 356 9 node /srv")


@pytest.mark.law(13)
def test_an_answer_that_holds_no_numbers_breaks_nothing() -> None:
    facts = host(GOD, MAIN, records=[daemon(pid="x"), app(main=0, id="z", unstable="y")])
    assert isinstance(pm2.find(GUI, facts), Unseen)
    assert pm2.restart(GUI, "gui", facts).user == "rbron"
    assert owner(facts, 1098) is not None
