"""Numbers of requests and of answers: consecutive, unique, with their check digits, whatever fails in between."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.desk import service as desk
from tejido_requests.intake.service import Filing, file, next_number
from tejido_requests.models import ReceiptCounter, ServiceRequest
from tejido_requests.settings import jurisdiction, settings
from tejido_shared import clock
from tejido_shared.db import Database
from tejido_shared.jurisdiction import parse_receipt_number

FILERS = 64
TURNS = 4


class Abandoned(Exception):
    """Something fails after the number was given."""


@pytest.fixture
def wide(databases: dict[str, Database]) -> Iterator[Database]:
    """The requests' database with a connection for each filer, so that all of them meet at the counter."""
    wider = settings().model_copy(update={"database_pool": FILERS})
    database = Database(lambda: wider)
    yield database
    database.close()


def _filing(subject: str) -> Filing:
    return Filing(
        subject=subject,
        reasons=None,
        petitioner=None,
        attachments=[],
        request_type=None,
        organization_id=None,
        project_id=None,
        language="es",
        channel="web",
        verbal=False,
        received_at=None,
        due_date=None,
        filed_by=None,
        received_by=None,
    )


def _at_once(act: Callable[[int, int], str | None]) -> list[str]:
    """Runs `act(filer, turn)` in as many threads as there are filers, all from the same instant; what it returned, without None."""
    start, given, failed = threading.Barrier(FILERS), list[str](), list[BaseException]()

    def work(filer: int) -> None:
        start.wait()
        for turn in range(TURNS):
            try:
                if (number := act(filer, turn)) is not None:
                    given.append(number)
            except Abandoned:
                pass
            except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
                failed.append(error)

    threads = [threading.Thread(target=work, args=(filer,)) for filer in range(FILERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[:3]
    return given


def _abandoned(filer: int, turn: int) -> bool:
    return (filer + turn) % 3 == 0


def _sequences(pattern: str, numbers: list[str]) -> dict[int, list[int]]:
    """By year, in order. Reading a number checks its check digits."""
    by_year: dict[int, list[int]] = {}
    for number in numbers:
        read = parse_receipt_number(pattern, number)
        by_year.setdefault(read.year, []).append(read.sequence)
    return {year: sorted(found) for year, found in by_year.items()}


def test_64_filers_with_rollbacks_while_the_year_ends(wide: Database) -> None:
    pack = jurisdiction()
    midnight = datetime(2027, 1, 1, tzinfo=pack.zone)

    def act(filer: int, turn: int) -> str:
        while turn >= TURNS // 2 and clock.now() < midnight:
            time.sleep(0.01)
        with wide.tx() as session:
            number = file(session, _filing(f"{filer}.{turn}")).number
            if _abandoned(filer, turn):
                raise Abandoned
        return number

    with clock.moved_to(midnight - timedelta(seconds=3)):
        given = _at_once(act)

    kept = sum(not _abandoned(filer, turn) for filer in range(FILERS) for turn in range(TURNS))
    assert len(given) == len(set(given)) == kept
    found = _sequences(pack.receipt_pattern, given)
    assert set(found) == {2026, 2027}
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in found.values())
    with wide.tx() as session:
        assert set(session.scalars(sa.select(ServiceRequest.number))) == set(given)
        counters = sa.select(ReceiptCounter.year, ReceiptCounter.last).where(ReceiptCounter.series == "received")
        assert {row.year: row.last for row in session.execute(counters)} == {
            year: len(sequences) for year, sequences in found.items()
        }


def test_answers_have_a_series_of_their_own(wide: Database) -> None:
    pack = jurisdiction()
    with wide.tx() as session:
        ids = [[file(session, _filing("x")).id for _ in range(TURNS)] for _ in range(FILERS)]

    def act(filer: int, turn: int) -> str | None:
        with wide.tx() as session:
            request = session.get_one(ServiceRequest, ids[filer][turn], with_for_update=True)
            desk.answer(session, request, "Sí.", "funcionaria-1")
            if _abandoned(filer, turn):
                raise Abandoned
            return request.answer_number

    given = _at_once(act)
    assert _sequences(pack.answer_pattern, given) == {
        clock.now().astimezone(pack.zone).year: list(range(1, len(given) + 1))
    }
    with wide.tx() as session:
        stored = session.scalars(
            sa.select(ServiceRequest.answer_number).where(ServiceRequest.answer_number.is_not(None))
        )
        assert sorted(number for number in stored if number) == sorted(given)


def test_a_number_given_back_is_the_next_one_given(wide: Database) -> None:
    def give(session: Session) -> str:
        return next_number(session, "received", clock.now()).text

    def lose(session: Session) -> None:
        lost.append(give(session))
        raise Abandoned

    lost: list[str] = []
    with wide.tx() as session:
        first = give(session)
    with pytest.raises(Abandoned), wide.tx() as session:
        lose(session)
    with wide.tx() as session:
        again = give(session)
    assert [first] != lost == [again]
