"""The check of people: that what one asks, another can approve."""

from app.cli.doctor.diagnosis import Diagnosis
from app.core.policy import Role
from app.store import people as accounts
from app.store.engine import Database


async def people(db: Database) -> Diagnosis:
    """Say whether there is an approver who is not the only human."""
    everyone = [each.person for each in await accounts.everyone(db) if each.person.is_enabled]
    if not everyone:
        return Diagnosis(None, "nobody yet", "`askfirst serve` prints the link that makes the first person.")
    approvers = {each.human for each in everyone if Role.APPROVER in each.roles}
    if len({each.human for each in everyone}) < 2 or not approvers:
        return Diagnosis(False, "nobody could approve what another asks", "Add an approver who is somebody else.")
    return Diagnosis(True, f"{len(everyone)}, of whom {len(approvers)} may approve")
