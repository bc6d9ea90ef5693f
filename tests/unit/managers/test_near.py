from app.managers._near import near


def test_names_that_are_spelled_alike_come_first_and_then_those_that_hold_the_name() -> None:
    known = ["pypnm-api", "lab:pypnm-gui", "pypnm-gui", "cron", "pypnm-gui-v2-of-the-other-people-in-the-lab"]
    assert near("pypnm-gu", known) == ("pypnm-gui", "lab:pypnm-gui", "pypnm-api")


def test_a_name_that_holds_the_one_asked_for_is_near_however_long_it_is() -> None:
    assert near("gui", ["the-gui-of-the-other-people-in-the-lab", "cron"]) == (
        "the-gui-of-the-other-people-in-the-lab",
    )


def test_nothing_like_it_is_nothing() -> None:
    assert near("pypnm-gui", ["cron", "dbus", "a"]) == ()


def test_no_more_than_three_are_offered_whatever_their_order() -> None:
    known = [f"gui-{number}" for number in range(9)]
    assert near("gui", known) == near("gui", reversed(known))
    assert len(near("gui", known)) == 3


def test_the_very_name_is_not_near_itself() -> None:
    assert near("gui", ["gui"]) == ()


def test_an_ending_that_all_units_share_makes_no_two_of_them_alike() -> None:
    units = ["dpkg-db-backup.service", "nginx.service", "plymouth-quit-wait.service", "gui-5054.service", "gui.socket"]
    assert near("pypnm-gui-backend.service", units) == ()
    assert near("gui-5045.service", units) == ("gui-5054.service",)
    assert near("gui.service", units) == ("gui-5054.service", "gui.socket")
