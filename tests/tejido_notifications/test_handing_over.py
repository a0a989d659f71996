"""From one message to the next: what is on record when, and what is left of it when PostgreSQL fails or is started anew meanwhile."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_notifications.channels import Outcome
from tejido_notifications.delivery import service, statements, tasks
from tejido_notifications.models import Attempt, Delivery
from tejido_shared.clock import moved_to
from tejido_shared.db import Database

from .conftest import ANA, SERVICE, MailServer, only, published, queued


def test_one_statement_records_a_message_and_takes_the_next(database: Database) -> None:
    for number in range(5):
        queued(database, SERVICE, f"{number}@correo.example")
    ahead, accepted = service.Ahead(), Outcome("accepted", "250 2.0.0 queued")
    with database.tx() as session:
        first = service.claim(session, "email", 0, ahead=ahead)
    assert first is not None
    assert service.may_hand_over(first, accepted, None, ahead, 0)
    ahead.lines = 2
    own = ahead.seen[0].id.int % 2
    assert [service.may_hand_over(first, accepted, None, ahead, sender) for sender in (own, 1 - own)] == [True, False]
    ahead.lines = 1
    second = ahead.seen.popleft()
    with database.connect() as connection:
        statement = statements.HandOver(connection)
        service.begin_hand_over(statement, first, accepted, None, second, 0)
        assert statement.end() == (True, True)
    with database.tx() as session:
        one, two = session.get_one(Delivery, first.id), session.get_one(Delivery, second.id)
        assert (one.status, one.evidence, one.sender) == ("delivered", "250 2.0.0 queued", None)
        assert (two.status, two.sender, two.attempts) == ("sending", 0, 1)
        outcomes = {one.delivery_id: one.outcome for one in session.scalars(sa.select(Attempt))}
        assert outcomes == {first.id: "accepted", second.id: "unknown"}
        two.status = "bounced"  # while it is being sent
    other = ahead.seen.popleft()
    with database.tx() as session:
        session.get_one(Delivery, other.id).status = "cancelled"
    with database.connect() as connection:
        statement = statements.HandOver(connection)
        service.begin_hand_over(statement, second, accepted, None, other, 0)
        assert statement.end() == (False, False)
        service.begin_hand_over(
            statement, second, accepted, None, replace(ahead.seen.popleft(), attempt_id=first.attempt_id), 0
        )
        with pytest.raises(psycopg.OperationalError, match="attempt"):
            statement.end()
    with database.tx() as session:
        assert session.get_one(Delivery, second.id).status == "bounced"
    assert service.may_hand_over(second, accepted, None, ahead, 0)
    assert not service.may_hand_over(second, Outcome("deferred"), None, ahead, 0)
    assert not service.may_hand_over(second, accepted, 5.0, ahead, 0)


def test_what_is_taken_back_at_the_commit_was_not_written_down(database: Database) -> None:
    """As when PostgreSQL ends between the statement and its commit: the row with the answer has come by then."""
    causes = [queued(database, SERVICE, f"{number}@correo.example") for number in range(2)]
    ahead = service.Ahead()
    with database.tx() as session:
        first = service.claim(session, "email", 0, ahead=ahead)
        session.execute(
            sa.text(
                "create function refuse() returns trigger language plpgsql as $$ begin raise 'at the commit'; end $$"
            )
        )
    assert first is not None
    late = "create constraint trigger late after update on delivery deferrable initially deferred for each row"
    with database.tx() as session:
        session.execute(sa.text(f"{late} execute function refuse()"))
    try:
        with database.connect() as connection:
            statement = statements.HandOver(connection)
            service.begin_hand_over(statement, first, Outcome("accepted", "250"), None, ahead.seen[0], 0)
            with pytest.raises(psycopg.OperationalError, match="at the commit"):
                statement.end()
            assert connection.execute("select 1").fetchone() == (1,)  # it goes on
    finally:
        with database.tx() as session:
            session.execute(sa.text("drop function refuse cascade"))
    assert [only(database, cause).status for cause in causes] == ["sending", "pending"]


@pytest.mark.parametrize("pipelining", [False, True])
def test_what_was_announced_is_not_said_before_it_is_its_turn(
    database: Database, mail_server: MailServer, pipelining: bool
) -> None:
    mail_server.pipelining = pipelining
    causes = [queued(database, SERVICE, f"{number}@correo.example") for number in range(4)]

    def meanwhile() -> None:
        """While the first is accepted, the second is cancelled: all of it is said but its end. The third is unknown to the server."""
        mail_server.before_accepting = lambda: None
        mail_server.script.extend(["rcpt 250 OK", "rcpt 550 5.1.1 No such user"])
        with database.tx() as session:
            session.scalars(sa.select(Delivery).where(Delivery.cause_id == causes[1])).one().status = "cancelled"

    mail_server.before_accepting = meanwhile
    tasks.send_due()
    assert mail_server.recipients == ["0@correo.example", "3@correo.example"]
    assert mail_server.connections == 2  # only by hanging up is it taken back
    assert mail_server.script == deque()
    assert [only(database, cause).status for cause in causes] == ["delivered", "cancelled", "failed", "delivered"]
    with database.tx() as session:
        tried = {attempt.delivery_id: attempt.outcome for attempt in session.scalars(sa.select(Attempt))}
    expected = [(0, "accepted"), (2, "refused"), (3, "accepted")]
    assert tried == {only(database, causes[number]).id: outcome for number, outcome in expected}


def end_sessions(database: Database) -> None:
    """As PostgreSQL does when it is started anew."""
    with psycopg.connect(database.libpq_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )


def while_the_server_takes_it(database: Database, mail_server: MailServer, _: pytest.MonkeyPatch) -> None:
    def meanwhile() -> None:
        mail_server.before_accepting = lambda: None
        end_sessions(database)

    mail_server.before_accepting = meanwhile


def while_it_is_written_down(database: Database, _: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    record = service.record

    def meanwhile(*given: Any) -> None:
        monkeypatch.setattr(service, "record", record)
        end_sessions(database)
        record(*given)

    monkeypatch.setattr(service, "record", meanwhile)


@pytest.mark.parametrize("when", [while_the_server_takes_it, while_it_is_written_down])
def test_an_acceptance_outlives_the_database(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, when: Callable[..., None]
) -> None:
    first, second = queued(database), queued(database, address="eva@correo.example")
    when(database, mail_server, monkeypatch)
    assert tasks.send_due() is True  # its number may be another's by now: it sends no more under it
    assert (only(database, first).status, only(database, second).status) == ("delivered", "pending")
    tasks.send_due()
    assert only(database, second).status == "delivered"
    assert mail_server.recipients == [ANA, "eva@correo.example"]
    assert len(published(database)) == 2
    with database.tx() as session:
        assert set(session.scalars(sa.select(Attempt.outcome))) == {"accepted"}


def _as_if_sent_since(session: Session, instant: datetime, lease: datetime) -> None:
    every = sa.update(Delivery).values(status="sending", sending_since=instant, sender=0, next_attempt_at=lease)
    session.execute(every)


def test_what_was_begun_before_postgresql_was_started_is_left_to_its_sender(database: Database) -> None:
    cause = queued(database)
    with database.tx() as session:
        assert service.claim(session, "email", 0) is not None
        started = session.scalar(sa.select(sa.func.pg_postmaster_start_time()))
    assert started is not None
    for begun, seconds, taken in ((50, 20, False), (1, 200, False), (50, 301, True)):
        with database.tx() as session:
            _as_if_sent_since(session, started - timedelta(seconds=begun), started + timedelta(seconds=300))
        with moved_to(started + timedelta(seconds=seconds)), database.tx() as session:
            service.take_over(session, "email", 0)
        assert only(database, cause).status == ("pending" if taken else "sending"), (begun, seconds)
    with database.tx() as session:  # what was begun since is left to it for ten seconds only
        _as_if_sent_since(session, started + timedelta(seconds=1), started + timedelta(seconds=300))
    with moved_to(started + timedelta(seconds=11)), database.tx() as session:
        service.take_over(session, "email", 0)
    assert only(database, cause).status == "pending"
