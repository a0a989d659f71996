"""What the register tells an organization: the letters, to whom, and what it hears back when nobody is there."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from tejido_notifications.bounces import service as bounces
from tejido_notifications.bounces.reports import Report
from tejido_notifications.campaigns import queries
from tejido_notifications.campaigns.schemas import Segment
from tejido_notifications.channels import Outcome
from tejido_notifications.delivery import service as delivery
from tejido_notifications.delivery import tasks
from tejido_notifications.letters import sources, variables, writing
from tejido_notifications.models import Delivery, KnownEvent, KnownOrganization, Proof
from tejido_shared import contracts, seam
from tejido_shared.contracts import Envelope, Standing
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.personal import seal

from .conftest import FRIDAY_EVENING, MailServer, deliver_event, plain, told

BOARD = new_id()
EMAIL = "junta.esperanza@correo.example"
_COMMON: dict[str, Any] = {
    "organization_id": BOARD,
    "organization_name": "Junta La Esperanza",
    "recipient_name": "Ana María Muñoz",
    "recipient_email": EMAIL,
}
_PROCEDURE = _COMMON | {"application_id": new_id(), "number": "TRA-2026-000007-11", "kind": "registration"}
_NUMBERED = _COMMON | {"organization_number": "ORG-2026-00042-11"}


def asked(**fields: Any) -> Envelope:
    """`told` seals top-level fields; the reasons of the items are sealed here."""
    items = [
        contracts.AskedItem(name="Estatuto", reason=seal("Falta la última página.")),
        contracts.AskedItem(name="Domicilio", reason=seal("Dice Calle 0.\nFalta el barrio.")),
    ]
    return told(
        contracts.OrganizationCorrectionAsked, **{**_PROCEDURE, "items": items, "until": date(2026, 12, 21)} | fields
    )


def decided(**fields: Any) -> Envelope:
    given = _PROCEDURE | {"organization_number": "ORG-2026-00042-11", "result": "accepted"}
    return told(contracts.OrganizationApplicationDecided, **given | fields)


def moved(**fields: Any) -> Envelope:
    return told(contracts.OrganizationStatusChanged, **_NUMBERED | {"before": "registered"} | fields)


def due(**fields: Any) -> Envelope:
    given = _NUMBERED | {"kind": "filing", "due_on": date(2027, 3, 31), "days": 30, "grace_until": date(2027, 5, 30)}
    return told(contracts.OrganizationRenewalDue, **given | fields)


def received(**fields: Any) -> Envelope:
    given = _PROCEDURE | {
        "received_at": FRIDAY_EVENING,
        "due_date": date(2026, 12, 29),
        "term": "15 días hábiles",
        "article": "Decreto 999 de 2026",
    }
    return told(contracts.OrganizationApplicationReceived, **given | fields)


EVERY = [
    (received(), "legal", ["TRA-2026-000007-11", "martes, 29 de diciembre de 2026", "Decreto 999 de 2026"]),
    (asked(), "legal", ["lunes, 21 de diciembre de 2026", "Estatuto: Falta la última página.", "Falta el barrio."]),
    (decided(next_filing_on=date(2027, 12, 1)), "legal", ["ORG-2026-00042-11", "miércoles, 1 de diciembre de 2027"]),
    (decided(result="rejected", reasons="No hay acta."), "legal", ["No aceptamos", "No hay acta.", "se revise"]),
    (decided(result="withdrawn", kind="annual_filing"), "legal", ["Se cerró el trámite TRA-2026-000007-11"]),
    (
        moved(after="suspended", until=date(2027, 3, 1), act="Resolución 7 de 2026", reasons="No hubo elección."),
        "legal",
        ["quedó suspendida", "lunes, 1 de marzo de 2027", "Resolución 7 de 2026", "No hubo elección."],
    ),
    (moved(after="inactive"), "legal", ["quedó desactivada", "Haga la presentación anual que falta"]),
    (moved(before="inactive", after="registered"), "legal", ["está otra vez activa"]),
    (due(), "service", ["miércoles, 31 de marzo de 2027", "domingo, 30 de mayo de 2027"]),
    (due(kind="mandate", grace_until=None), "service", ["el mandato de sus autoridades termina"]),
]


@pytest.mark.parametrize(
    ("envelope", "category", "said"), EVERY, ids=[f"{n}-{e.type}" for n, (e, _, _) in enumerate(EVERY)]
)
def test_each_is_told_once_to_the_organization(
    databases: dict[str, Database], mail_server: MailServer, envelope: Envelope, category: str, said: list[str]
) -> None:
    for sent in (1, 2):
        assert deliver_event(databases, envelope, sent)
    with databases["notifications"].tx() as session:
        [one] = session.scalars(sa.select(Delivery))
        assert (one.audience, one.recipient_key, one.category) == ("organization", str(BOARD), category)
        stored = str(session.execute(sa.text("select row_to_json(d) from (select * from delivery) d")).scalar_one())
    assert "junta.esperanza" not in stored
    tasks.send_due()
    [mail] = mail_server.received
    assert mail["To"] == EMAIL
    text = f"{mail['Subject']}\n{plain(mail)}"
    for part in [*said, "Junta La Esperanza", "Ana María Muñoz"]:
        assert part in text, text
    assert "/seguimiento/" not in text  # that page is of requests
    with databases["notifications"].tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Proof)) == (category == "legal")


def test_nothing_is_sent_to_one_without_address(databases: dict[str, Database]) -> None:
    for make in (received, asked, decided, due):
        assert deliver_event(databases, make(recipient_email=None))
    assert deliver_event(databases, moved(after="inactive", recipient_email=None))
    with databases["notifications"].tx() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Delivery)) == 0


def test_a_short_form_and_other_systems_learn_no_reasons(databases: dict[str, Database]) -> None:
    envelope = asked()
    assert deliver_event(databases, envelope)
    with databases["notifications"].tx() as session:
        body = session.get_one(KnownEvent, envelope.id).body
        assert {"items", "recipient_name", "recipient_email"}.isdisjoint(body["data"])
        assert body["data"]["until"] == "2026-12-21"
        context = delivery.opened(contracts.event_in(envelope))
        short = writing.write(
            sources.saved(session), envelope.type, "registry_correction_asked", "es", context, form="short"
        )
    assert "TRA-2026-000007-11" in short.body
    assert "Falta" not in short.body
    assert "items" in variables.personal(envelope.type)
    assert variables.fields_of(envelope.type, context, withhold=True)["items"] == []


def _unreachable(database: Database) -> list[dict[str, Any]]:
    query = sa.select(seam.outbox.c.envelope).where(seam.outbox.c.subscriber == "registry")
    with database.tx() as session:
        return list(session.scalars(query.order_by(seam.outbox.c.id)))


def _campaign_message(database: Database) -> UUID:
    """What a campaign queues: the cause is the campaign, the recipient the organization."""
    cause = delivery.Cause(new_id(), "notifications.call", new_id(), FRIDAY_EVENING)
    with database.tx() as session:
        delivery.queue(
            session,
            cause,
            audience="organization",
            recipient_key=str(BOARD),
            address=EMAIL,
            language="es",
            context="{}",
        )
        return session.scalars(sa.select(Delivery.id).where(Delivery.cause_id == cause.id)).one()


def _ended(database: Database, delivery_id: UUID, outcome: Outcome) -> None:
    with database.tx() as session:
        session.execute(sa.update(Delivery).where(Delivery.id == delivery_id).values(category="legal"))
        claimed = delivery.claim(session, "email", 0)
        assert claimed is not None
        assert claimed.id == delivery_id
    with database.tx() as session:
        delivery.record(session, claimed, outcome)


@pytest.mark.parametrize("of", ["letter", "campaign"])
def test_the_register_hears_that_nobody_is_there(databases: dict[str, Database], of: str) -> None:
    database = databases["notifications"]
    if of == "letter":
        deliver_event(databases, decided())
        with database.tx() as session:
            delivery_id = session.scalars(sa.select(Delivery.id)).one()
    else:
        delivery_id = _campaign_message(database)
    _ended(database, delivery_id, Outcome("refused", "550 5.1.1 no such user", "5.1.1"))
    [event] = _unreachable(database)
    assert event["type"] == "notifications.organization_unreachable"
    assert (event["data"]["organization_id"], event["data"]["channel"]) == (str(BOARD), "email")
    assert "correo.example" not in str(event)


def test_a_bounce_is_told_once_and_a_full_mailbox_or_a_citizen_not_at_all(databases: dict[str, Database]) -> None:
    database = databases["notifications"]
    deliver_event(databases, decided())
    with database.tx() as session:
        delivery_id = session.scalars(sa.select(Delivery.id)).one()
    _ended(database, delivery_id, Outcome("accepted", "250 OK"))
    assert _unreachable(database) == []
    report = Report(delivery_id, EMAIL, "permanent", "550 5.1.1 no such user")
    for _ in range(2):
        with database.tx() as session:
            bounces.report(session, report)
    assert len(_unreachable(database)) == 1

    deliver_event(databases, moved(after="inactive"))
    with database.tx() as session:
        full = session.scalars(sa.select(Delivery.id).where(Delivery.status == "pending")).one()
    _ended(database, full, Outcome("refused", "552 5.2.2 full", "5.2.2"))
    deliver_event(databases, told(contracts.RequestWithdrawn, withdrawn_at=FRIDAY_EVENING, tacit=False))
    with database.tx() as session:
        citizens = session.scalars(sa.select(Delivery.id).where(Delivery.audience == "citizen")).one()
    _ended(database, citizens, Outcome("refused", "550 5.1.1 no such user", "5.1.1"))
    assert len(_unreachable(database)) == 1


def test_calls_reach_by_theme_territory_and_standing(databases: dict[str, Database]) -> None:
    def changed(number: int, standing: dict[str, bool], **fields: Any) -> None:
        event = contracts.OrganizationChanged(
            organization_id=UUID(int=number),
            number=f"ORG-{number}",
            name=f"Junta {number}",
            organization_type="community_action_board",
            status="registered",
            standing=[Standing(purpose=purpose, allowed=allowed) for purpose, allowed in standing.items()],
            **fields,
        )
        envelope = contracts.envelope_of(
            event, event_id=new_id(), subject_version=1, occurred_at=FRIDAY_EVENING, correlation_id="", traceparent=None
        )
        assert deliver_event(databases, envelope)

    changed(1, {"apply": True, "sign": False}, themes=["water", "sport"], territory="suba")
    changed(2, {"apply": False, "sign": False}, themes=["sport"], territory="suba")
    changed(3, {"apply": True, "sign": True}, themes=["food"], territory="usme")

    def reached(**lists: Any) -> set[int]:
        with databases["notifications"].tx() as session:
            query = sa.select(KnownOrganization.id).where(queries.in_segment(Segment(**lists)))
            return {key.int for key in session.scalars(query)}

    assert reached() == {1, 2, 3}
    assert reached(themes=["sport"]) == {1, 2}
    assert reached(standing=["apply"]) == {1, 3}
    assert reached(standing=["sign", "administer_hall"]) == {3}
    assert reached(themes=["sport", "food"], territories=["suba"], standing=["apply"]) == {1}
