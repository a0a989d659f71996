"""Requests for everybody: no person can be told from it, nor a receipt number.

A line's id is a hash of the request's own, 74 bits of which are random, and the lines are ordered by it: in the order of receipt the
n-th line would be the n-th receipt number. What fewer than `FEWEST` requests of the year have in common is merged into `otros`.
"""

import csv
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import IO, Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import ServiceRequest
from tejido_requests.reports import queries, schemas, service
from tejido_requests.reports.queries import Period
from tejido_requests.reports.schemas import Dimension, Group, OpenGroup
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n

FEWEST = 5
OTHERS = "otros"
COLUMNS = (
    *("id", "type", "office", "channel", "area", "received_on", "due_on", "closed_on", "status", "on_time"),
    "business_days",
)
FRESH_SECONDS = 3600
"""How long a year that was read serves all who ask."""
_MERGED: tuple[Dimension, ...] = ("type", "office", "channel", "area")
_PUBLISHED = (
    *("received", "on_time", "late", "open", "overdue", "paused", "withdrawn", "transferred", "on_time_rate"),
    "final_answer_days",
)
_BATCH = 2000
_CHUNK = 1 << 16
_Kept = TypeVar("_Kept")


def _year(year: int) -> Period:
    return queries.period(date(year, 1, 1), date(year, 12, 31))


def _plain() -> dict[Dimension, Any]:
    """The dimensions before merging. Of a request with a confidential identity the area is not told."""
    r = ServiceRequest
    area = sa.case((r.confidential, OTHERS), else_=sa.func.coalesce(r.area, ""))
    return {"type": r.request_type, "office": r.office, "channel": r.channel, "area": area}


def kept_apart(counts: Mapping[str, int]) -> set[str]:
    """The values that are common enough to be told. The rest, `otros`, has none or at least `FEWEST` requests, or else could be guessed."""
    ascending = sorted((count, value) for value, count in counts.items() if value != OTHERS)
    merged, apart = counts.get(OTHERS, 0), set()
    for count, value in ascending:
        if count < FEWEST or 0 < merged < FEWEST:
            merged += count
        else:
            apart.add(value)
    return apart


def _apart(session: Session, asked: Period) -> dict[Dimension, set[str]]:
    plain = _plain()
    row = sa.select(*(expression.label(name) for name, expression in plain.items())).where(_received(asked)).subquery()
    columns = [row.c[name] for name in _MERGED]
    query = sa.select(sa.func.grouping(*columns), sa.func.coalesce(*columns), sa.func.count()).group_by(
        sa.func.grouping_sets(*(sa.tuple_(column) for column in columns))
    )
    levels = {queries.level_of([name], _MERGED): name for name in _MERGED}
    counts: dict[Dimension, dict[str, int]] = {name: {} for name in _MERGED}
    for level, value, count in session.execute(query):
        counts[levels[level]][value] = count
    return {name: kept_apart(found) for name, found in counts.items()}


def _received(asked: Period) -> sa.ColumnElement[bool]:
    return (ServiceRequest.received_at >= asked.since) & (ServiceRequest.received_at < asked.until)


def _told(apart: Mapping[Dimension, set[str]]) -> dict[str, Any]:
    """The dimensions as they are published."""
    return {
        name: sa.case((expression.in_(sorted(apart[name])), expression), else_=OTHERS)
        for name, expression in _plain().items()
    }


# What is kept for an hour


class Keep(Generic[_Kept]):
    """Remembers by year what is costly to make, so that strangers cannot make the database work. One thread at a time makes it anew."""

    def __init__(self, make: Callable[[int], _Kept]) -> None:
        self._make = make
        self._made: dict[int, tuple[float, _Kept]] = {}
        self._lock = threading.Lock()

    def of(self, year: int) -> _Kept:
        found = self._made.get(year)
        if found is not None and (self._fresh(found) or not self._lock.acquire(blocking=False)):
            return found[1]
        if found is None:
            self._lock.acquire()
        try:
            found = self._made.get(year)
            if found is None or not self._fresh(found):
                found = self._made[year] = (time.monotonic(), self._make(year))
            return found[1]
        finally:
            self._lock.release()

    def forget(self) -> None:
        self._made.clear()

    @staticmethod
    def _fresh(found: tuple[float, _Kept]) -> bool:
        return time.monotonic() - found[0] < FRESH_SECONDS


# The requests of a year


def _make_csv(year: int) -> IO[bytes]:
    asked = _year(year)
    days = service.open_days(asked)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - kept, and closed with the last who reads it
    with service.snapshot() as session:
        told = _told(_apart(session, asked))
        file.write(_lines([COLUMNS]))
        result = session.execute(_rows(asked, days, told), execution_options={"yield_per": _BATCH})
        for batch in result.partitions():
            file.write(_lines([_cells(row) for row in batch]))
    file.flush()
    return file


def _rows(asked: Period, days: queries.OpenDays, told: Mapping[str, Any]) -> sa.Select[Any]:
    r = ServiceRequest
    hashed = sa.func.encode(sa.func.sha256(sa.func.convert_to("open data " + sa.cast(r.id, sa.Text), "UTF8")), "hex")
    key = sa.func.left(hashed, 24)
    counter = queries.Counter(days, asked.last_day)
    taken = counter.to(queries.local_day(r.notified_at))
    columns = [
        *(told[name].label(name) for name in _MERGED),
        queries.local_day(r.received_at).label("received_on"),
        r.due_date.label("due_on"),
        queries.local_day(r.closed_at).label("closed_on"),
        r.status,
        r.on_time,
        taken.label("business_days"),
    ]
    return sa.select(key.label("id"), *columns).where(_received(asked)).order_by(key)


def _cells(row: sa.Row[Any]) -> list[Any]:
    return ["" if cell is None else str(cell).lower() if isinstance(cell, bool) else cell for cell in row]


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def stream(file: IO[bytes]) -> Iterator[bytes]:
    """From its beginning; several may read one file at once."""
    place = 0
    while chunk := os.pread(file.fileno(), _CHUNK, place):
        place += len(chunk)
        yield chunk


# The figures of a year


def _make_figures(year: int) -> tuple[Period, Group, dict[Dimension, list[Group]]]:
    asked = _year(year)
    days = service.open_days(asked)
    dimensions: tuple[Dimension, ...] = (*_MERGED, "month")
    with service.snapshot() as session:
        told = _told(_apart(session, asked))
        total, *found = service.count(
            session, asked, "received", days, [[], *([name] for name in dimensions)], None, told
        )
    by = {name: [group for group in groups if group.received] for name, groups in zip(dimensions, found, strict=True)}
    return asked, total[0], by


def figures(year: int) -> schemas.OpenFiguresOut:
    asked, total, by = FIGURES.of(year)
    return schemas.OpenFiguresOut(
        year=year,
        as_of=asked.as_of,
        caveat=i18n.text(PACKAGE, "open_data.caveat.ranking"),
        total=_open(total, ""),
        by={name: [_open(group, getattr(group, name)) for group in groups] for name, groups in by.items()},
    )


def _open(group: Group, value: str) -> OpenGroup:
    return OpenGroup(value=value, **{name: getattr(group, name) for name in _PUBLISHED})


REQUESTS = Keep(_make_csv)
FIGURES = Keep(_make_figures)


# What it all means


def dictionary() -> schemas.DictionaryOut:
    """In the caller's language; names of codes as the municipality has them."""
    pack = jurisdiction()

    def say(code: str, **params: Any) -> str:
        return i18n.text(PACKAGE, f"open_data.{code}", **params)

    def column(kind: str, name: str) -> schemas.ColumnOut:
        return schemas.ColumnOut(name=name, description=say(f"{kind}.{name}"))

    def values(found: Any) -> list[schemas.ValueOut]:
        return [schemas.ValueOut(code=each.code, name=each.name) for each in found]

    others = schemas.ValueOut(code=OTHERS, name=say("others", fewest=FEWEST))
    none = schemas.ValueOut(code="", name=say("none"))
    statuses = ("received", "paused", "answered", "notified", "withdrawn", "transferred", "split", "merged")
    return schemas.DictionaryOut(
        title=say("title", entity=pack.entity.name),
        caveats=[say(f"caveat.{name}", fewest=FEWEST) for name in ("ranking", "merged", "persons", "rate", "as_of")],
        columns=[column("column", name) for name in COLUMNS],
        figures=[column("figure", name) for name in _PUBLISHED],
        values={
            "type": [*values(pack.request_types), others],
            "office": [*values(pack.offices), others],
            "channel": [*values(pack.channels), others],
            "area": [*values(pack.areas), none, others],
            "status": [
                schemas.ValueOut(code=status, name=i18n.text(PACKAGE, f"export.status.{status}")) for status in statuses
            ],
        },
    )
