"""The steps of the register's procedure, as the jurisdiction's table has them. Every use case needs the organization locked.

`move` is the only writer of an organization's registration status after its entry, besides merges. An application to be registered
goes with that status; an annual filing takes the same steps by itself and leaves the status as it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry import queries as organizations
from tejido_registry import service
from tejido_registry.documents import service as documents
from tejido_registry.models import Application, Defect, Organization
from tejido_registry.procedure import clock, queries
from tejido_registry.renewal import service as renewal
from tejido_registry.schemas import OrganizationPatch
from tejido_registry.settings import jurisdiction
from tejido_shared import contracts, i18n
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.deadlines import Act as ClockAct
from tejido_shared.deadlines import Deadline, Pause, Resume
from tejido_shared.jurisdiction import Role
from tejido_shared.jurisdiction.register import Actor
from tejido_shared.outbox import emit
from tejido_shared.personal import seal
from tejido_shared.refusals import NotForThem, Refused

PACKAGE = service.PACKAGE
POINT = frozenset({"latitude", "longitude"})
FIELDS = frozenset(OrganizationPatch.model_fields) - POINT | {"point"}
"""What of an organization may be asked to be corrected."""
_OWN = ("draft", "rejected", "withdrawn")
"""While an organization is this, whoever acts for it may change all of it."""
_FILES = ("registered", "inactive", "suspended")
_TOLD = ("registered", "inactive", "suspended")
"""Whoever was entered is told of what moves it."""
_ENDED = ("withdrawn", "cancelled")
_RESULTS = {"registered": "accepted", "rejected": "rejected", "withdrawn": "withdrawn"}
"""What a step of the table is for an application; the others have the same name in both."""
_LAPSED = 500


@dataclass(frozen=True)
class Act:
    """An act of the authority."""

    number: str
    day: date


@dataclass(frozen=True)
class _Step:
    """A step somebody wants to take, with all that it came with."""

    before: str
    after: str
    by: Actor
    author: str | None
    reasons: str | None = None
    act: Act | None = None
    until: date | None = None
    defects: Sequence[tuple[str, str]] = ()


def actor_of(
    caller: Principal, organization: Organization, to: str | None = None, *, before: str | None = None
) -> Actor:
    """In which part a caller acts on an organization. Raises `NotForThem`.

    Of several, in the one that the step to `to` is for, from `before` or else the organization's status.
    """
    may: list[Actor] = []
    if organizations.acts_for(caller, organization):
        may.append("representative")
    if caller.has(Role.REGISTRAR):
        may.append("registrar")
    if to is not None and caller.has(Role.REGISTER_AUTHORITY):
        may.append("authority")
    if not may:
        raise NotForThem("not_acting_for_it")
    row = jurisdiction().registration.step(before or organization.registration_status, to) if to else None
    if row is None:
        return "registrar" if to is None and "registrar" in may else may[0]
    return next((one for one in may if one in row.by), may[0])


# Applications


def submit(
    session: Session,
    organization: Organization,
    kind: str,
    by: Actor,
    author: str,
    *,
    consent: bool,
    period: int | None = None,
    note: str | None = None,
) -> Application:
    """Files an application, which gets a number and a term. Raises `Refused`."""
    if queries.open_one(session, organization.id, kind) is not None:
        raise Refused("application_open")
    if kind == "annual_filing":
        if organization.registration_status not in _FILES:
            raise Refused("filing_not_registered", state=_status(organization.registration_status))
        period = period or (organization.filing_due_on or service.today()).year
        if queries.accepted(session, organization.id, period):
            raise Refused("filing_repeated", period=period)
    instant, term = now(), jurisdiction().registration.policy.review
    application = Application(
        organization_id=organization.id,
        kind=kind,
        period=period if kind == "annual_filing" else None,
        status="submitted",
        submitted_at=instant,
        submitted_by=author,
        on_behalf=by != "representative",
        consented_at=instant if consent else None,
        due_on=_due(clock.counted(instant, term)),
        corrections=0,
        note=note,
    )
    before = organization.registration_status if kind == "registration" else "draft"
    step = _Step(before, "submitted", by, author)
    _permit(session, organization, application, step)
    application.number = service.next_numbers(session, 1, "application")[0]
    session.add(application)
    session.flush()
    if kind == "registration":
        _write(session, organization, step)
    _record(session, organization, application, f"{kind}_submitted", author)
    emit(
        session,
        contracts.OrganizationApplicationReceived(
            application_id=application.id,
            organization_id=organization.id,
            number=application.number,
            kind=kind,
            organization_name=organization.name,
            received_at=instant,
            due_date=application.due_on,
            term=clock.length(term),
            article=term.article,
            **_addressed(organization),
        ),
        version=application.version,
    )
    return application


def advance(
    session: Session,
    organization: Organization,
    application: Application,
    after: str,
    by: Actor,
    author: str | None,
    *,
    reasons: str | None = None,
    defects: Sequence[tuple[str, str]] = (),
) -> None:
    """Takes an application, which must be locked too, a step of the table further. Raises `Refused` with the reason why not."""
    if application.status not in queries.OPEN:
        raise Refused("application_closed", state=_application_status(application.status))
    if application.kind == "registration":
        move(session, organization, after, by, author, reasons=reasons, defects=defects)
        return
    step = _Step(application.status, after, by, author, reasons, defects=defects)
    _permit(session, organization, application, step)
    _follow(session, organization, application, step)


def take(session: Session, organization: Organization, application: Application, by: Actor, author: str) -> None:
    """An official begins to review; one that a colleague reviews is taken over. Raises `Refused`."""
    if application.status == "in_review" and by == "registrar":
        if application.reviewer != author:
            application.reviewer = author
            _record(session, organization, application, "application_taken", author)
        return
    advance(session, organization, application, "in_review", by, author)


def resubmit(
    session: Session, organization: Organization, application: Application, by: Actor, author: str, note: str | None
) -> None:
    """Hands the application in again; a note answers what was not corrected. Raises `Refused`."""
    if application.status != "needs_correction":
        raise Refused("not_correcting", state=_application_status(application.status))
    if note is None and _uncorrected(session, application):
        raise Refused("defects_open")
    application.note = note or application.note
    advance(session, organization, application, "in_review", by, author, reasons=note)


def lapse(session: Session, today: date) -> int:
    """Withdraws the applications whose term to correct has passed, at most some hundreds at a time. Returns how many."""
    done = 0
    for application in queries.lapsed(session, today, _LAPSED):
        organization = queries.locked(session, application)
        until = application.correction_until
        if application.status == "needs_correction" and until is not None and until < today:
            reasons = i18n.text(PACKAGE, "reason.lapsed", "es", day=f"{until:%d/%m/%Y}")
            advance(session, organization, application, "withdrawn", "calendar", None, reasons=reasons)
            done += 1
    return done


# Moving


def move(
    session: Session,
    organization: Organization,
    after: str,
    by: Actor,
    author: str | None,
    *,
    reasons: str | None = None,
    act: Act | None = None,
    until: date | None = None,
    defects: Sequence[tuple[str, str]] | None = None,
) -> None:
    """Moves an organization to another registration status, and the application to be registered with it.

    `defects` are pairs of item and reason. Raises `Refused` where the table has no such step, it is not for `by` to take, or something
    that it requires is missing.
    """
    application = queries.open_one(session, organization.id, "registration")
    step = _Step(organization.registration_status, after, by, author, reasons, act, until, defects or ())
    _permit(session, organization, application, step)
    if application is not None:
        _follow(session, organization, application, step)
    else:
        _write(session, organization, step)


def change(session: Session, organization: Organization, changes: dict[str, Any], by: Actor, author: str) -> None:
    """Changes an organization's data, as far as it is for `by` to change them. Raises `Refused`."""
    if organization.merged_into is not None:
        raise Refused("organization_merged")
    status = organization.registration_status
    if by == "representative" and status not in _OWN:
        flagged = queries.flagged(session, organization.id)
        allowed = flagged | (POINT if "point" in flagged else set())
        if status != "needs_correction":
            allowed = allowed | {"contacts"}
        if not changes.keys() <= allowed:
            raise NotForThem("only_flagged" if flagged else "only_own_contacts")
    different = service.change(session, organization, changes, author)
    answered(session, organization, different | ({"point"} if POINT & different else set()), by, author)


def answered(session: Session, organization: Organization, items: Collection[str], by: Actor, author: str) -> None:
    """These items were corrected. An application with none left goes back to review by itself."""
    for application in queries.correcting(session, organization.id):
        waiting = _uncorrected(session, application)
        corrected = [one for one in waiting if one.item in items]
        for one in corrected:
            one.corrected_at = now()
        if corrected and len(corrected) == len(waiting):
            advance(session, organization, application, "in_review", by, author)


def derived(session: Session, application: Application) -> Deadline:
    """The term to decide, with its days and pauses."""
    acts: list[ClockAct] = [
        Pause(one.at) if one.kind == "correction_asked" else Resume(one.at)
        for one in queries.pauses(session, application)
    ]
    return clock.counted(application.submitted_at, jurisdiction().registration.policy.review, acts)


def item_name(item: str) -> str:
    """A field or document in words."""
    kind, _, code = item.partition(":")
    if kind == "document":
        return jurisdiction().document_type(code).name
    return i18n.text(PACKAGE, f"item.{item}")


def _write(session: Session, organization: Organization, step: _Step) -> None:
    """The step in the organization: its status, history and what others are told."""
    organization.registration_status = step.after
    organization.status_until = step.until
    organization.changed_at = now()
    entered = step.after == "registered" and step.before in service.UNREGISTERED
    if entered:
        organization.registered_at = organization.changed_at
    service.flush(session)
    details: dict[str, Any] = {"before": step.before, "after": step.after}
    if step.act is not None:
        details |= {"act": step.act.number, "act_day": step.act.day.isoformat()}
    if step.until is not None:
        details["until"] = step.until.isoformat()
    service.record(session, organization, "status_changed", step.author, reason=step.reasons, **details)
    if step.after in _ENDED:
        for kind in ("registration", "annual_filing"):
            left = queries.open_one(session, organization.id, kind)
            if left is not None:
                _close(session, organization, left, "withdrawn", step)
    if entered:
        renewal.entered(session, organization)
    service.announce(session, [organization])
    if step.before in _TOLD:
        act = step.act and i18n.text(PACKAGE, "act.named", "es", number=step.act.number, day=f"{step.act.day:%d/%m/%Y}")
        emit(
            session,
            contracts.OrganizationStatusChanged(
                organization_id=organization.id,
                organization_name=organization.name,
                organization_number=organization.number,
                before=step.before,
                after=step.after,
                until=step.until,
                act=act,
                reasons=_sealed(step.reasons),
                **_addressed(organization),
            ),
            version=organization.version,
        )


def _follow(session: Session, organization: Organization, application: Application, step: _Step) -> None:
    """The step in its application, and in the organization if it is to be registered."""
    if step.after == "needs_correction":
        step = replace(step, until=_ask(session, organization, application, step))
    elif step.before == "needs_correction" and step.after == "in_review":
        _hand_in_again(session, organization, application, step)
    elif step.after == "in_review":
        application.status, application.reviewer = "in_review", step.author
        _record(session, organization, application, "application_taken", step.author)
    elif step.after in _RESULTS:
        # First, for what is decided is told with what follows from it.
        application.status = _RESULTS[step.after]
        application.decided_at = now()
        session.flush()
        if application.kind == "annual_filing" and step.after == "registered":
            # It brings an inactive organization back, too.
            renewal.filed(session, organization, application.period or service.today().year, step.author)
    if application.kind == "registration":
        _write(session, organization, step)
    if step.after in _RESULTS:
        _close(session, organization, application, _RESULTS[step.after], step)
    session.flush()


def _ask(session: Session, organization: Organization, application: Application, step: _Step) -> date:
    """Asks the organization to correct. Returns the last day to do so."""
    until = _due(clock.counted(now(), jurisdiction().registration.policy.correction))
    application.status = "needs_correction"
    application.reviewer = application.reviewer or step.author
    application.correction_until = until
    application.corrections += 1
    session.add_all(
        Defect(application_id=application.id, round=application.corrections, item=item, reason=reason)
        for item, reason in step.defects
    )
    session.flush()
    _record(session, organization, application, "correction_asked", step.author)
    emit(
        session,
        contracts.OrganizationCorrectionAsked(
            application_id=application.id,
            organization_id=organization.id,
            number=application.number,
            kind=application.kind,
            organization_name=organization.name,
            items=[
                contracts.AskedItem(name=item_name(item), reason=contracts.Sealed(seal(reason)))
                for item, reason in step.defects
            ],
            until=until,
            **_addressed(organization),
        ),
        version=application.version,
    )
    return until


def _hand_in_again(session: Session, organization: Organization, application: Application, step: _Step) -> None:
    for one in _uncorrected(session, application):
        one.corrected_at = now()
    application.status, application.correction_until = "in_review", None
    _record(session, organization, application, "corrected", step.author)
    session.flush()
    due = derived(session, application).due_date
    application.due_on = due or application.due_on


def _close(session: Session, organization: Organization, application: Application, result: str, step: _Step) -> None:
    application.status, application.reasons = result, step.reasons
    application.decided_at, application.decided_by = now(), step.author
    application.correction_until = None
    session.flush()
    _record(session, organization, application, f"application_{result}", step.author, reason=step.reasons)
    emit(
        session,
        contracts.OrganizationApplicationDecided(
            application_id=application.id,
            organization_id=organization.id,
            number=application.number,
            kind=application.kind,
            organization_name=organization.name,
            organization_number=organization.number,
            result=result,
            reasons=_sealed(step.reasons),
            next_filing_on=organization.filing_due_on if result == "accepted" else None,
            **_addressed(organization),
        ),
        version=application.version,
    )


# What a step requires


def _permit(session: Session, organization: Organization, application: Application | None, step: _Step) -> None:
    """Raises `Refused` unless the table has the step, for this actor, and all that it requires is there."""
    row = jurisdiction().registration.step(step.before, step.after)
    if row is None:
        raise Refused("transition", before=_status(step.before), after=_status(step.after))
    if step.by not in row.by:
        actors = ", ".join(i18n.text(PACKAGE, f"actor.{one}") for one in row.by)
        raise Refused("transition_role", before=_status(step.before), after=_status(step.after), actors=actors)
    if application is None and step.after in ("submitted", "needs_correction"):
        raise Refused("application_missing")
    if step.until is not None and step.after != "suspended":
        raise Refused("until_unasked", "until")
    for requirement in row.requires:
        _require(requirement, session, organization, application, step)


def _require(
    requirement: str, session: Session, organization: Organization, application: Application | None, step: _Step
) -> None:
    policy, today = jurisdiction().registration.policy, service.today()
    match requirement:
        case "minimum_data":
            if missing := _missing_data(organization):
                raise Refused("requires_minimum_data", missing=", ".join(missing))
        case "consent":
            if application is None or application.consented_at is None:
                raise Refused("requires_consent")
        case "documents":
            kind = application.kind if application else "registration"
            valid = documents.valid(session, [organization.id], today)[organization.id]
            asked = jurisdiction().registration.documents_for(kind, organization.organization_type)
            if missing := [item_name(f"document:{code}") for code in asked if code not in valid]:
                raise Refused("requires_documents", missing=", ".join(missing))
        case "other_officer":
            entered = {organization.captured_by, application.submitted_by if application else None}
            if step.author is None or step.author in entered:
                raise Refused("requires_other_officer")
        case "defects":
            _judge_defects(step.defects)
        case "reasons":
            if not step.reasons:
                raise Refused("requires_reasons")
        case "act":
            if step.act is None:
                raise Refused("requires_act")
            if step.act.day > today:
                raise Refused("day_in_future", "act.day")
        case "until":
            last = (step.act.day if step.act else today) + timedelta(days=policy.suspension_days)
            if step.until is None:
                raise Refused("requires_until")
            if not today <= step.until <= last:
                raise Refused("until_out_of_bounds", "until", last=f"{last:%d/%m/%Y}")
        case "until_over":
            # A date the office and the calendar wait for; whoever withdraws of their own will waits for none.
            if step.by == "representative":
                return
            until = application.correction_until if application else organization.status_until
            if until is None or until >= today:
                raise Refused("requires_until_over", day=f"{until:%d/%m/%Y}" if until else "—")
        case "filing":
            if not queries.filed_since_inactive(session, organization.id):
                raise Refused("requires_filing")
        case "grace_over":
            due = organization.filing_due_on
            if due is None or due + timedelta(days=policy.grace_days) >= today:
                raise Refused("requires_grace_over")
        case _:
            raise LookupError(requirement)


def _missing_data(organization: Organization) -> list[str]:
    place = organization.address or organization.territory or organization.area or organization.latitude is not None
    admits = jurisdiction().registration.policy.admits_without_legal_personality
    missing = {
        "item.place": not place,
        "item.contacts": not any(one.email or one.phone for one in organization.contacts),
        "item.legal_status": not admits and organization.legal_status in (None, "de_facto"),
    }
    return [i18n.text(PACKAGE, name) for name, lacks in missing.items() if lacks]


def _judge_defects(defects: Sequence[tuple[str, str]]) -> None:
    if not defects:
        raise Refused("requires_defects")
    types = {f"document:{one.code}" for one in jurisdiction().registration.document_type}
    seen: set[str] = set()
    flaws = []
    for index, (item, _) in enumerate(defects):
        if item not in types | FIELDS:
            flaws.append((f"items.{index}.item", "unknown_item"))
        elif item in seen:
            flaws.append((f"items.{index}.item", "item_repeated"))
        seen.add(item)
    if flaws:
        raise Refused(fields=flaws)


def _uncorrected(session: Session, application: Application) -> list[Defect]:
    return [
        one
        for one in queries.defects(session, application.id)
        if one.round == application.corrections and one.corrected_at is None
    ]


def _record(
    session: Session,
    organization: Organization,
    application: Application,
    kind: str,
    author: str | None,
    reason: str | None = None,
) -> None:
    service.record(
        session,
        organization,
        kind,
        author,
        reason=reason,
        number=application.number,
        application=str(application.id),
    )


def _due(found: Deadline) -> date:
    if found.due_date is None:
        raise ValueError("a term without pauses has a last day")
    return found.due_date


def _sealed(text: str | None) -> contracts.Sealed | None:
    return contracts.Sealed(seal(text)) if text else None


def _addressed(organization: Organization) -> dict[str, Any]:
    return {"language": jurisdiction().locale.partition("-")[0], **service.recipient(organization)}


def _status(code: str) -> str:
    return i18n.text(PACKAGE, f"status.{code}")


def _application_status(code: str) -> str:
    return i18n.text(PACKAGE, f"application_status.{code}")
