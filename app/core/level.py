"""How much of the promise a host keeps by itself: its level, what that leaves to a stolen server, and the next step.

Words only: what a host really does is in the gate's text, and what a request needs is ``policy``'s.
"""

from enum import StrEnum


class Level(StrEnum):
    """What a host refuses whoever asks, weakest first."""

    OPEN = "open"
    ENFORCED = "enforced"
    SEALED = "sealed"


STOLEN = {
    Level.OPEN: "Whoever takes the Askfirst server can run anything there that its account may, as root with sudo.",
    Level.ENFORCED: (
        "Whoever takes the Askfirst server can look, and can run the registered restarts that the host's own table"
        " lists: not faster than its caps, each warrant once, and nothing else."
    ),
    Level.SEALED: (
        "Whoever takes the Askfirst server can look. It can restart nothing: the host itself asks for a signature that"
        " only an approver's own key can make, over exactly what runs."
    ),
}
RAISE = {
    Level.OPEN: "Install the kit: `askfirst host kit {host}` prints it for the host's administrator.",
    Level.ENFORCED: (
        "Let the approvers enrol passkeys, set the policy's assurance to sealed and the host's level to sealed, then"
        " install the kit again."
    ),
    Level.SEALED: "There is no higher level.",
}
