"""What dates do to organizations. Each takes a session and never commits.

The axes are kept in the organization's row and are right until `axes_due_on`; on that day the calendar's `turn` comes to it.
A turn is one transaction over a batch: a kill undoes it whole, and the next one finds the same organizations again.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from tejido_registry import axes, service
from tejido_registry.models import Organization
from tejido_registry.procedure import service as procedure
from tejido_registry.renewal import dates, queries
from tejido_registry.settings import jurisdiction
from tejido_registry.standing import service as standing
from tejido_registry.standing.rules import Dated, made_inactive_by_calendar
from tejido_shared.clock import now
from tejido_shared.contracts import OrganizationRenewalDue
from tejido_shared.outbox import emit_all
from tejido_shared.refusals import Refused

BATCH = 200
"""Organizations of one turn."""
_TOLD = ("mandate_status", "mandate_until", "freshness", "standing")

log = structlog.get_logger()


def refresh(session: Session, organization: Organization) -> None:
    """Computes the axes anew, after a mandate, verification or document of the organization changed, and announces what others know of.

    The organization must be locked.
    """
    service.announce(session, _refresh(session, organization))


def entered(session: Session, organization: Organization) -> None:
    """The organization was entered in the register: its first annual filing has a date. Whoever enters it announces it."""
    organization.filing_due_on = dates.next_filing(standing.today(), jurisdiction().registration)
    _refresh(session, organization)


def filed(session: Session, organization: Organization, period: int, author: str | None) -> None:
    """Its annual filing of `period` was accepted: the next one has a date, and one that was inactive for the lack of it is no longer."""
    organization.filing_due_on = dates.next_filing(standing.today(), jurisdiction().registration)
    service.record(session, organization, "filed", author, period=period)
    refresh(session, organization)
    if organization.registration_status == "inactive":
        procedure.move(session, organization, "registered", by="registrar", author=author)


def turn(session: Session, today: date, limit: int = BATCH) -> int:
    """Does what a date asks for to the organizations it has come to, `limit` of them at most. Returns how many there were."""
    register = jurisdiction().registration
    due = queries.due(session, today, limit)
    changed, known = _settle(session, due, today)
    overdue = [one for one in due if _is_overdue(known[one.id], today)]
    if overdue:
        service.flush(session)
    moved = [one for one in overdue if _make_inactive(session, one)]
    known |= standing.dated(session, moved)
    for one in due:
        one.axes_due_on = dates.due_on(known[one.id], today, register)
    service.flush(session)
    service.announce(session, [one for one in changed if one not in moved])
    _remind(session, due, known, today)
    return len(due)


def _refresh(session: Session, organization: Organization) -> list[Organization]:
    """Writes its axes. What the calendar has still to do about it today stays to be done. Returns it if others know something else."""
    session.flush()
    today = standing.today()
    changed, known = _settle(session, [organization], today)
    if organization.axes_due_on is None or organization.axes_due_on > today:
        organization.axes_due_on = dates.due_on(known[organization.id], today, jurisdiction().registration)
    service.flush(session)
    return changed


def _settle(
    session: Session, organizations: Sequence[Organization], today: date
) -> tuple[list[Organization], dict[UUID, Dated]]:
    """Writes the axes as they are today. Returns the organizations of which others know something else, and what is known of all."""
    register = jurisdiction().registration
    for one in organizations:
        # An organization that was registered before there were filings has the whole term for its first.
        if one.registration_status == "registered" and one.filing_due_on is None:
            one.filing_due_on = dates.next_filing(today, register)
    known = standing.dated(session, organizations)
    changed = []
    for one in organizations:
        before = [getattr(one, name) for name in _TOLD]
        its = known[one.id]
        office = axes.in_office(its.terms, today, register.policy.expiring_days)
        verified = axes.verified_on(axes.confirmed(its.confirmations, today))
        one.mandate_status, one.mandate_until = office.status, office.until
        one.verified_on, one.freshness = verified, axes.freshness(verified, today, register.policy)
        if one.standing != (judged := standing.reasons(its, today)):
            one.standing = judged
        if before != [getattr(one, name) for name in _TOLD]:
            one.changed_at = now()
            changed.append(one)
    return changed, known


def _is_overdue(known: Dated, today: date) -> bool:
    """Whether an organization that is registered becomes inactive for the lack of a filing."""
    register = jurisdiction().registration
    grace_until = known.grace_until(register)
    late = grace_until is not None and today > grace_until
    return late and known.registration == "registered" and made_inactive_by_calendar(register)


def _make_inactive(session: Session, organization: Organization) -> bool:
    """Returns whether it could be; the move announces it."""
    try:
        procedure.move(session, organization, "inactive", by="calendar", author=None)
    except Refused as refused:
        # One organization that cannot be moved must not keep the calendar from all the others.
        log.warning("not_made_inactive", organization_id=str(organization.id), reason=refused.code)
        return False
    return True


def _remind(session: Session, organizations: Sequence[Organization], known: dict[UUID, Dated], today: date) -> None:
    """Tells registered organizations of a mandate or filing that ends: once for each of the pack's days, and only the nearest of them."""
    policy = jurisdiction().registration.policy
    found: dict[tuple[UUID, str], tuple[Organization, date, int]] = {}
    for one in organizations:
        if one.registration_status != "registered":
            continue
        filing = None if known[one.id].filing_pending else one.filing_due_on
        for kind, due_on in (("mandate", one.mandate_until), ("filing", filing)):
            days = None if due_on is None else axes.reminder(due_on, today, policy.reminder_days)
            if due_on is not None and days is not None:
                found[one.id, kind] = one, due_on, days
    fresh = queries.remember(
        session,
        [
            {"organization_id": key, "kind": kind, "due_on": due_on, "days": days}
            for (key, kind), (_, due_on, days) in found.items()
        ],
    )
    emit_all(
        session,
        [
            (
                OrganizationRenewalDue(
                    organization_id=one.id,
                    organization_name=one.name,
                    organization_number=one.number,
                    kind=kind,
                    due_on=due_on,
                    days=(due_on - today).days,
                    grace_until=due_on + timedelta(days=policy.grace_days) if kind == "filing" else None,
                    language=jurisdiction().locale.partition("-")[0],
                    **service.recipient(one),
                ),
                one.version,
            )
            for (key, kind), (one, due_on, _) in found.items()
            if (key, kind) in fresh
        ],
    )
