"""Takes an import through its batches, each of them a transaction. Used by the route, the command and the background task alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from sqlalchemy.orm import Session

from tejido_registry import service as organizations
from tejido_registry.imports import service
from tejido_registry.imports.reading import Entry, Reading
from tejido_registry.imports.schemas import Counts, ImportMapping, ImportOut, RowProblem
from tejido_shared.db import Database
from tejido_shared.refusals import Refused

_LOCK = 0x7E11D1
Progress = Callable[[int, int], None]
"""Is told how many rows of how many are done."""


@contextmanager
def alone(database: Database) -> Iterator[None]:
    """Keeps every other import away until the block or this process ends. Raises `Refused` while another one is running.

    A lock of PostgreSQL's session on a connection of its own: it outlives the transactions of the batches, and not a killed process.
    """
    with database.connect() as connection:
        row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is None or not row[0]:
            raise Refused("import_running")
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # it would be free once PostgreSQL has noticed that we left: not at once
                connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))


def run(
    database: Database,
    source: str,
    reading: Reading,
    author: str | None,
    *,
    mapping: ImportMapping | None = None,
    dry_run: bool = False,
    all_or_nothing: bool = False,
    progress: Progress | None = None,
) -> ImportOut:
    """Imports what was read, or only says what it would do. Raises `Refused` while another import is running.

    Each batch is committed by itself, so that nobody else waits long, and a run that is broken off is finished by another one; all or
    nothing is one transaction. The mapping, if it is given, is kept for the next time.
    """
    whole = all_or_nothing and not dry_run
    if dry_run:
        return _out(source, reading, _write(database, source, reading, author, dry_run=True, progress=progress))
    with alone(database):
        if whole:
            counts, problems = _write(database, source, reading, author, dry_run=True)
            if counts.rejected:
                return _out(source, reading, (counts, problems))
            with database.tx() as session:
                result = _write(database, source, reading, author, progress=progress, session=session)
                if result[0].rejected:  # somebody was quicker, between the two
                    raise Refused("import_overtaken")
        else:
            result = _write(database, source, reading, author, progress=progress)
        if mapping is not None:
            with database.tx() as session:
                service.save_mapping(session, source, mapping, author)
    return _out(source, reading, result, applied=True)


def start(reading: Reading) -> Counts:
    """What is known of the rows before the register was asked."""
    return Counts(repeated=reading.repeated, rejected=len(reading.rejected))


def add(counts: Counts, written: service.Written) -> Counts:
    return counts.model_copy(
        update={
            "created": counts.created + written.created,
            "changed": counts.changed + written.changed,
            "unchanged": counts.unchanged + written.unchanged,
            "rejected": counts.rejected + len(written.rejected),
        }
    )


def batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    for first in range(0, len(entries), organizations.BATCH):
        yield entries[first : first + organizations.BATCH]


def write(
    database: Database, source: str, batch: list[Entry], author: str | None, *, dry_run: bool = False
) -> service.Written:
    """One batch in a transaction of its own; once more if somebody took a number in between, which is then seen."""
    try:
        with database.tx() as session:
            return service.write(session, source, batch, author, dry_run=dry_run)
    except Refused:
        with database.tx() as session:
            return service.write(session, source, batch, author, dry_run=dry_run)


def _write(
    database: Database,
    source: str,
    reading: Reading,
    author: str | None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    session: Session | None = None,
) -> tuple[Counts, list[RowProblem]]:
    counts, problems, done = start(reading), list(reading.problems), 0
    for batch in batches(reading.entries):
        if session is None:
            written = write(database, source, batch, author, dry_run=dry_run)
        else:
            written = service.write(session, source, batch, author)
            session.flush()
            session.expunge_all()  # thousands of organizations need not stay in memory until the commit
        counts = add(counts, written)
        problems += written.problems
        done += len(batch)
        if progress is not None:
            progress(done, len(reading.entries))
    return counts, problems


def _out(source: str, reading: Reading, result: tuple[Counts, list[RowProblem]], *, applied: bool = False) -> ImportOut:
    counts, problems = result
    return ImportOut(
        source=source,
        applied=applied,
        rows=reading.rows,
        problems=sorted(problems, key=lambda one: (one.row, one.severity)),
        **dict(counts),
    )
