"""The seam: which handler receives what. What this service publishes is emitted in `service.py`.

A handler only decides that somebody is to be told, or forgets; sending is a task. What it cannot do (an unknown office, a field sealed
with a key that is not configured) it raises, and the event ends as a dead letter that says so and can be replayed.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from tejido_notifications.campaigns.organizations import remember_organization
from tejido_notifications.contacts.addresses import by_telephone
from tejido_notifications.delivery import service
from tejido_notifications.proof.access import remember_request
from tejido_notifications.settings import jurisdiction
from tejido_notifications.webhooks import service as webhooks
from tejido_shared.contracts import (
    Envelope,
    Event,
    OrganizationApplicationDecided,
    OrganizationApplicationReceived,
    OrganizationChanged,
    OrganizationCorrectionAsked,
    OrganizationRenewalDue,
    OrganizationStatusChanged,
    ProjectPresented,
    ProjectStageChanged,
    RequestAccessChanged,
    RequestAnswered,
    RequestBecameOverdue,
    RequestCompletionAsked,
    RequestDueDateMoved,
    RequestErased,
    RequestExtensionAnnounced,
    RequestMessageUndelivered,
    RequestReminder,
    RequestSubmitted,
    RequestTransferred,
    RequestWithdrawn,
)
from tejido_shared.inbox import Handler
from tejido_shared.jurisdiction import Office
from tejido_shared.personal import unseal

ForStaff = RequestBecameOverdue | RequestReminder | RequestMessageUndelivered
ForCitizens = (
    RequestSubmitted
    | RequestCompletionAsked
    | RequestExtensionAnnounced
    | RequestDueDateMoved
    | RequestTransferred
    | RequestWithdrawn
    | RequestAnswered
)
ForOrganizations = (
    OrganizationApplicationReceived
    | OrganizationCorrectionAsked
    | OrganizationApplicationDecided
    | OrganizationStatusChanged
    | OrganizationRenewalDue
)


def _tell_citizen(session: Session, event: ForCitizens, envelope: Envelope) -> None:
    """What was done with the citizen's request: by mail, or on the telephone of who left no address."""
    if event.recipient_email is not None:
        way: tuple[str, str] | None = ("email", unseal(event.recipient_email))
    elif event.recipient_phone is not None:
        way = by_telephone(unseal(event.recipient_phone))
    else:
        way = None
    if way is not None:
        channel, address = way
        service.queue(
            session,
            service.Cause.of(envelope),
            audience="citizen",
            channel=channel,
            address=address,
            language=event.language,
            context=service.opened(event),
        )


def _submitted(session: Session, event: RequestSubmitted, envelope: Envelope) -> None:
    remember_request(session, event, envelope)
    _tell_citizen(session, event, envelope)


def _tell_organization(session: Session, event: ForOrganizations, envelope: Envelope) -> None:
    """What the register did, or will, to the organization's own contact. Nothing for one that gave no address."""
    if event.recipient_email is not None:
        service.queue(
            session,
            service.Cause.of(envelope),
            audience="organization",
            recipient_key=str(event.organization_id),
            address=unseal(event.recipient_email),
            language=event.language,
            context=service.opened(event),
        )


def _alert_head(session: Session, event: RequestBecameOverdue, envelope: Envelope) -> None:
    head = _Addressee("office_head", office(event.office).head_email, f"head:{event.office}")
    _tell_staff(session, event, envelope, [head])


def _remind(session: Session, event: RequestReminder, envelope: Envelope) -> None:
    _tell_staff(session, event, envelope, [_addressee(event, whom) for whom in event.to])


def _ask_another_way(session: Session, event: RequestMessageUndelivered, envelope: Envelope) -> None:
    _tell_staff(session, event, envelope, [_addressee(event, "assignee")])


def _tell_staff(session: Session, event: ForStaff, envelope: Envelope, addressees: list["_Addressee"]) -> None:
    """One mail to each address, however many of those named share it; and the same where they work."""
    cause, context, told = service.Cause.of(envelope), service.opened(event), set[str]()
    for one in addressees:
        for channel, address in (("email", one.email), ("in_app", one.box)):
            if address and (mark := f"{channel}:{address.casefold()}") not in told:
                told.add(mark)
                service.queue(
                    session,
                    cause,
                    audience=one.audience,
                    channel=channel,
                    address=address,
                    language=_staff_language(),
                    context=context,
                    send_from=event.send_from,
                )


def _erase(session: Session, event: RequestErased, _: Envelope) -> None:
    service.erase(session, event.request_id, event.erased_at)


def _nobody(_: Session, __: Event, ___: Envelope) -> None:
    """What only other systems are told of."""


@dataclass(frozen=True)
class _Addressee:
    """Whom it is for, and where: a mail address, and the box in the application, if there is one."""

    audience: str
    email: str
    box: str = ""


def _addressee(event: RequestReminder | RequestMessageUndelivered, whom: str) -> _Addressee:
    """The office answers for an officer whose address is not known."""
    match whom:
        case "assignee" if event.assignee_email is not None:
            box = f"account:{event.assignee}" if event.assignee else ""
            return _Addressee("assignee", unseal(event.assignee_email), box)
        case "assignee" | "office":
            return _Addressee("office", office(event.office).email, f"office:{event.office}")
        case "head":
            return _Addressee("office_head", office(event.office).head_email, f"head:{event.office}")
        case "authority":
            return _Addressee("authority", jurisdiction().procedure.authority_email)
        case _:
            raise LookupError(f"a reminder to {whom}: nobody is known by that name")


def office(code: str) -> Office:
    """The office in the pack. Raises `LookupError` if there is none."""
    try:
        return jurisdiction().office(code)
    except LookupError:
        raise LookupError(f"office {code} is not in the jurisdiction pack: add it to offices.toml and replay") from None


def _staff_language() -> str:
    return jurisdiction().locale.partition("-")[0]


def _and_subscribers(handle: Handler) -> Handler:
    """Other systems are told of every event, without what is sealed."""

    def handle_and_tell(session: Session, event: Event, envelope: Envelope) -> None:
        handle(session, event, envelope)
        webhooks.tell(session, event, envelope)

    return handle_and_tell


HANDLERS: dict[type[Event], Handler] = {
    kind: _and_subscribers(handle)
    for kind, handle in (
        (RequestSubmitted, _submitted),
        (RequestCompletionAsked, _tell_citizen),
        (RequestExtensionAnnounced, _tell_citizen),
        (RequestDueDateMoved, _tell_citizen),
        (RequestTransferred, _tell_citizen),
        (RequestWithdrawn, _tell_citizen),
        (RequestAnswered, _tell_citizen),
        (RequestBecameOverdue, _alert_head),
        (RequestReminder, _remind),
        (RequestMessageUndelivered, _ask_another_way),
        (RequestErased, _erase),
        (RequestAccessChanged, remember_request),
        (OrganizationChanged, remember_organization),
        (OrganizationApplicationReceived, _tell_organization),
        (OrganizationCorrectionAsked, _tell_organization),
        (OrganizationApplicationDecided, _tell_organization),
        (OrganizationStatusChanged, _tell_organization),
        (OrganizationRenewalDue, _tell_organization),
        (ProjectPresented, _nobody),
        (ProjectStageChanged, _nobody),
    )
}
