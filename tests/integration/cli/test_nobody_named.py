"""What the machine's own operator can do without naming anybody: the first steps, and the switch at 3 a.m."""

from tests.integration.cli.conftest import Command

POLICY = "policies:\n  - environment: production\n    groups: [lab-team]\n"


def test_the_switch_needs_nobody_and_no_words_to_go_on(askfirst: Command) -> None:
    askfirst("db", "upgrade")
    assert askfirst("freeze", "on").exit_code == 0
    (held,) = askfirst.json("freeze", "list")
    assert (held["scope"], held["by"]) == ("all", "operator")
    assert askfirst("freeze", "off").exit_code == 2
    assert askfirst("freeze", "off", "--reason", "It is over.").exit_code == 0
    assert askfirst.json("audit", "verify")["first_broken"] is None


def test_a_registry_is_applied_by_the_operator_then_by_the_only_editor_then_by_a_named_one(askfirst: Command) -> None:
    assert "Applied." in askfirst("registry", "apply", "-", given=POLICY).stdout
    askfirst("user", "add", "ed", "--role", "editor")
    assert "Applied." in askfirst("registry", "apply", "-", given=POLICY.replace("lab", "net")).stdout
    askfirst("user", "add", "fay@example.org", "--role", "editor")
    refused = askfirst("registry", "apply", "-", given=POLICY)
    assert (refused.exit_code, "--as EMAIL" in refused.stderr) == (1, True)
    assert "Proposed as" in askfirst("registry", "apply", "-", given=POLICY, ASKFIRST_AS="ed").stdout


def test_a_person_is_added_by_a_plain_name_or_by_an_address(askfirst: Command) -> None:
    assert askfirst("user", "add", "ada", "--role", "requester").exit_code == 0
    assert askfirst("user", "add", "bo@example.org", "--role", "approver").exit_code == 0
    assert [(each["name"], each["email"]) for each in askfirst.json("user", "list")] == [
        ("ada", "ada"),
        ("bo", "bo@example.org"),
    ]
    assert askfirst("token", "create", "--as", "ada").exit_code == 0
