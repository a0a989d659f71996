"""A database that the version before the desk filled, brought to this one."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic import command
from fastapi.testclient import TestClient

from tejido_requests.app import create_app
from tejido_requests.audit import chain
from tejido_requests.calendars import queries as calendars
from tejido_requests.clocks import tasks
from tejido_requests.db import database, tx
from tejido_requests.models import HistoryEntry, ServiceRequest
from tejido_requests.settings import jurisdiction
from tejido_shared import clock, seam
from tejido_shared.db import Database
from tejido_shared.ids import new_id
from tejido_shared.manage import alembic_config
from tejido_shared.personal import seal
from tejido_shared.testing import Issuer

OFFICE = "atencion-ciudadania"
ZONE = ZoneInfo("America/Bogota")
RECEIVED = datetime(2026, 3, 2, 10, tzinfo=ZONE)
DUE = date(2026, 3, 24)  # 23 March is a holiday
REPLY = "550 5.1.1 <ana@example.org>: unknown"


@pytest.fixture
def before(databases: dict[str, Database]) -> Iterator[sa.Connection]:
    """The database as the first version made it. Afterwards it is as the other tests need it."""
    database.close()
    with database.engine.begin() as connection:
        connection.execute(sa.text("drop schema public cascade"))
        connection.execute(sa.text("create schema public"))
    command.upgrade(alembic_config("tejido_requests", database), "20261120_requests")
    with database.engine.connect() as connection:
        yield connection
    command.upgrade(alembic_config("tejido_requests", database), "head")


def _insert(connection: sa.Connection, number: int, channel: str = "web", **changes: Any) -> UUID:
    """A request as the first version wrote it."""
    pack = jurisdiction()
    overdue_at = datetime.combine(DUE + timedelta(days=1), datetime.min.time(), ZONE)
    row: dict[str, Any] = {
        "id": new_id(),
        "version": 1,
        "number": f"BOG-2026-{number:06d}-00",
        "request_type": "general_interest_petition",
        "type_name": "Petición",
        "office": OFFICE,
        "channel": channel,
        "verbal": False,
        "language": "es",
        "subject": seal("Hay un bache").encode(),
        "attachments": "[]",
        "petitioner_name": seal("Ana").encode(),
        "tracking_code": seal("ABCDEFGHJK").encode(),
        "status": "received",
        "received_at": RECEIVED,
        "term_unit": "business_days",
        "term_n": 15,
        "term_article": "Ley 1755 de 2015, art. 14",
        "terms_version": pack.terms_version,
        "calendar_version": pack.calendar_version,
        "policy": json.dumps(pack.counting.model_dump(mode="json")),
        "effective_receipt_date": RECEIVED.date(),
        "due_date": DUE,
        "due_soon_from": date(2026, 3, 16),
        "overdue_at": overdue_at,
        "alarm_at": overdue_at,
    } | changes
    columns = ", ".join(row)
    values = ", ".join(f"cast(:{name} as jsonb)" if name in ("policy", "attachments") else f":{name}" for name in row)
    connection.execute(sa.text(f"insert into service_request ({columns}) values ({values})"), row)
    _tell(connection, row["id"], "received", RECEIVED, {"channel": channel, "verbal": False})
    return UUID(str(row["id"]))


def _tell(connection: sa.Connection, request: Any, kind: str, at: datetime, details: dict[str, Any]) -> None:
    connection.execute(
        sa.text(
            "insert into history_entry (id, request_id, at, kind, details) values (:id, :of, :at, :kind, :details)"
        ),
        {"id": new_id(), "of": request, "at": at, "kind": kind, "details": json.dumps(details)},
    )


def test_what_was_there_goes_on_with_the_same_dates(before: sa.Connection, issuer: Issuer) -> None:
    web, letter = _insert(before, 1), _insert(before, 2, "letter")
    secret = _insert(before, 4, request_type="corruption_report")
    answered_at = RECEIVED + timedelta(days=1)
    answered = _insert(before, 3, status="answered", answered_at=answered_at, answer=seal("Sí").encode())
    _tell(before, answered, "answered", answered_at, {})
    _tell(before, answered, "notification_failed", answered_at, {"reason": REPLY})
    before.execute(sa.text("insert into receipt_counter values (2026, 4)"))
    before.commit()
    command.upgrade(alembic_config("tejido_requests", database), "head")
    calendars.forget()
    officer = issuer.headers(f"funcionario:{OFFICE}", sub="funcionaria-1")
    with tx() as session:
        session.execute(sa.update(ServiceRequest).values(alarm_at=RECEIVED))
    with TestClient(create_app(), raise_server_exceptions=False) as api:
        with clock.moved_to(datetime(2026, 3, 12, 10, tzinfo=ZONE)):
            # Before anybody has written anything, and with it the first version of the calendar.
            tasks.announce()
            assert _reminded() == {(str(letter), "acknowledgement")}, "who has filed by web has the receipt"
            for request in (web, letter, answered):
                shown = api.get(f"/v1/service-requests/{request}", headers=officer)
                assert (shown.status_code, shown.json()["clock"]["due_date"]) == (200, str(DUE))
                assert "Día de San José" in shown.text
            extended = api.post(
                f"/v1/service-requests/{web}/extensions",
                json={"added": 5, "reasons": "Faltan datos", "evidence": "Guía 1"},
                headers=officer,
            )
            assert (extended.status_code, extended.json()["due_date"]) == (200, "2026-03-31"), extended.text
    assert chain.seal(database) == 7
    with tx() as session:
        assert chain.verify(session).counts == {}
    with tx() as session:
        failed = session.scalars(sa.select(HistoryEntry).where(HistoryEntry.kind == "notification_failed")).one()
        assert (failed.details, failed.reason) == ({}, REPLY)
        hidden = session.scalars(sa.select(ServiceRequest.id).where(ServiceRequest.confidential)).all()
        assert hidden == [secret], "as its type now says"


def _reminded() -> set[tuple[str, str]]:
    with tx() as session:
        sent = session.scalars(sa.select(seam.outbox.c.envelope)).all()
    told = [envelope["data"] for envelope in sent if envelope["type"] == "requests.reminder"]
    return {(data["request_id"], data["clock"]) for data in told}
