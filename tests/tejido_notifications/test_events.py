"""Events become deliveries: once, encrypted, or a dead letter that says why."""

import threading

import sqlalchemy as sa

from tejido_notifications.models import Delivery
from tejido_shared import contracts, seam
from tejido_shared.db import Database
from tejido_shared.inbox import MAX_ATTEMPTS

from .conftest import FRIDAY_EVENING, deliver_event, file_request


def _count(databases: dict[str, Database]) -> int:
    with databases["notifications"].tx() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Delivery)) or 0


def test_one_delivery_however_often_and_wherever_the_event_arrives(databases: dict[str, Database]) -> None:
    _, envelope = file_request(databases)
    threads = [threading.Thread(target=deliver_event, args=(databases, envelope)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sent in (1, 2, 3):
        assert deliver_event(databases, envelope, sent)
    assert _count(databases) == 1

    with databases["notifications"].tx() as session:  # the inbox forgets after a while; the delivery does not
        session.execute(sa.delete(seam.inbox))
    assert deliver_event(databases, envelope)
    assert _count(databases) == 1


def test_what_is_stored_names_nobody(databases: dict[str, Database]) -> None:
    request, envelope = file_request(databases)
    deliver_event(databases, envelope)
    with databases["notifications"].tx() as session:
        stored = str(session.execute(sa.text("select row_to_json(d) from (select * from delivery) d")).scalar_one())
    for private in ("ana.munoz", "Muñoz", request.tracking_code, b"ana.munoz".hex()):
        assert private not in stored


def test_no_mail_to_who_left_no_address(databases: dict[str, Database]) -> None:
    _, envelope = file_request(databases, email=None)
    assert deliver_event(databases, envelope)
    assert _count(databases) == 0


def test_what_cannot_become_a_delivery_is_a_dead_letter_with_its_reason(databases: dict[str, Database]) -> None:
    _, good = file_request(databases)
    sealed_elsewhere = good.model_copy(update={"data": good.data | {"tracking_code": "gAAAA-not-ours"}})
    overdue = contracts.RequestBecameOverdue(
        request_id=good.subject,
        number="X",
        type_name="X",
        office="closed-office",
        received_at=FRIDAY_EVENING,
        due_date=FRIDAY_EVENING.date(),
        overdue_at=FRIDAY_EVENING,
    )
    unknown_office = contracts.envelope_of(
        overdue,
        event_id=good.subject,
        subject_version=2,
        occurred_at=FRIDAY_EVENING,
        correlation_id="",
        traceparent=None,
    )
    for envelope, reason in (
        (sealed_elsewhere, "sealed with a key that is not configured"),
        (unknown_office, "office closed-office is not in the jurisdiction pack"),
    ):
        confirmed = [deliver_event(databases, envelope) for _ in range(MAX_ATTEMPTS)]
        assert confirmed == [False] * (MAX_ATTEMPTS - 1) + [True]
        with databases["notifications"].tx() as session:
            query = sa.select(seam.dead_letter.c.error).where(seam.dead_letter.c.event_id == envelope.id)
            assert reason in session.execute(query).scalar_one()
    assert _count(databases) == 0
