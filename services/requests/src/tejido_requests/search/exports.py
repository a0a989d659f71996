"""A search as CSV or as a spreadsheet, row by row: a million rows take no more memory than a few hundred."""

import csv
import io
import tempfile
from collections.abc import Generator, Iterator
from datetime import date, datetime
from typing import IO, Any

import sqlalchemy as sa
import xlsxwriter
from sqlalchemy.orm import Session

from tejido_requests.db import tx
from tejido_requests.models import ServiceRequest
from tejido_requests.search.queries import OPEN, SORTABLE
from tejido_requests.settings import PACKAGE, jurisdiction
from tejido_shared import i18n
from tejido_shared.clock import now
from tejido_shared.refusals import Refused
from tejido_shared.spreadsheets import MARK, defused

MOST_ROWS_OF_A_SHEET = 1_048_575
"""Excel's rows, less the one with the headings."""
_BATCH = 500
_CHUNK = 1 << 16
_IN_MEMORY = 8 << 20
_PLAIN = (
    *("number", "received_at", "type_name", "office", "channel", "verbal", "area", "status", "assignee", "due_date"),
    *("overdue", "extended_by", "answer_number", "answered_at", "notified_at", "closed_at", "on_time", "priority"),
    *("anonymous", "confidential"),
)
_PERSONAL = (
    *("subject", "petitioner_name", "petitioner_identification", "petitioner_email", "petitioner_phone"),
    *("petitioner_address", "representative_name", "representative_identification", "place_address"),
)
Cell = str | int | datetime | date | None


def rows_of(query: sa.Select[ServiceRequest], sort: str, *, personal: bool) -> sa.Select[Any]:
    """What is exported of the requests of `query`, in order. Of confidential ones the personal columns do not leave the database."""
    order, descending = SORTABLE[sort.removeprefix("-")], sort.startswith("-")
    columns: list[Any] = [
        (OPEN & sa.func.coalesce(ServiceRequest.overdue_at <= now(), sa.false())).label(name)
        if name == "overdue"
        else getattr(ServiceRequest, name)
        for name in _PLAIN
    ]
    if personal:
        for name in _PERSONAL:
            columns.append(sa.case((~ServiceRequest.confidential, getattr(ServiceRequest, name))).label(name))
    return query.with_only_columns(*columns).order_by(
        order.desc() if descending else order, ServiceRequest.id.desc() if descending else ServiceRequest.id
    )


class _Table:
    """Headings and cells in the caller's language, the names of codes looked up once. Instants become local, without an offset."""

    def __init__(self, *, personal: bool) -> None:
        pack = jurisdiction()
        self.names = _PLAIN + (_PERSONAL if personal else ())
        self.headings = [i18n.text(PACKAGE, f"export.{name}") for name in self.names]
        self._zone = pack.zone
        self._yes, self._no = i18n.text(PACKAGE, "export.yes"), i18n.text(PACKAGE, "export.no")
        statuses = ("received", "paused", "answered", "notified", "withdrawn", "transferred", "split", "merged")
        self._words: dict[str, dict[str, str]] = {
            "office": {office.code: office.name for office in pack.offices},
            "channel": {channel.code: channel.name for channel in pack.channels},
            "area": {area.code: area.name for area in pack.areas},
            "status": {status: i18n.text(PACKAGE, f"export.status.{status}") for status in statuses},
        }

    def cells(self, row: sa.Row[Any]) -> list[Cell]:
        return [self._cell(name, value) for name, value in zip(self.names, row, strict=True)]

    def _cell(self, name: str, value: Any) -> Cell:
        if isinstance(value, bool):
            return self._yes if value else self._no
        if isinstance(value, datetime):
            return value.astimezone(self._zone).replace(microsecond=0, tzinfo=None)
        if isinstance(value, str):
            return defused(self._words.get(name, {}).get(value, value))
        return value  # type: ignore[no-any-return]


def _read(session: Session, rows: sa.Select[Any]) -> Iterator[list[sa.Row[Any]]]:
    """Batches from a cursor of the database's."""
    result = session.execute(rows, execution_options={"yield_per": _BATCH})
    for batch in result.partitions():
        yield list(batch)


def as_csv(rows: sa.Select[Any], *, personal: bool) -> Generator[bytes, None, None]:
    """UTF-8 with a mark that tells Excel so; commas (RFC 4180). Its session lives as long as it is read."""
    return _csv(rows, _Table(personal=personal))


def _csv(rows: sa.Select[Any], table: _Table) -> Generator[bytes, None, None]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.headings)
    yield MARK + text.getvalue().encode()
    with tx() as session:
        for batch in _read(session, rows):
            text = io.StringIO()
            csv.writer(text).writerows(table.cells(row) for row in batch)
            yield text.getvalue().encode()


def as_xlsx(rows: sa.Select[Any], *, personal: bool) -> Generator[bytes, None, None]:
    """A workbook, written to a temporary file first, for its directory comes last. Raises `Refused` for more rows than a sheet has."""
    with tx() as session:
        few = rows.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None)
        found = session.scalar(sa.select(sa.func.count()).select_from(few.limit(MOST_ROWS_OF_A_SHEET + 1).subquery()))
        if (found or 0) > MOST_ROWS_OF_A_SHEET:
            raise Refused("too_many_rows", most=MOST_ROWS_OF_A_SHEET)
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it has been sent
    try:
        _write(file, rows, _Table(personal=personal))
    except BaseException:
        file.close()
        raise
    return _chunks(file)


def _write(file: IO[bytes], rows: sa.Select[Any], table: _Table) -> None:
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as book, tx() as session:
        sheet = book.add_worksheet(i18n.text(PACKAGE, "export.sheet"))
        bold = book.add_format({"bold": True})
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        instants = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(table.names) - 1, 20)
        for column, heading in enumerate(table.headings):
            sheet.write_string(0, column, heading, bold)
        line = 0
        for batch in _read(session, rows):
            for row in batch[: MOST_ROWS_OF_A_SHEET - line]:
                line += 1
                for column, cell in enumerate(table.cells(row)):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(line, column, cell, instants)
                    elif isinstance(cell, date):
                        sheet.write_datetime(line, column, cell, days)
                    elif isinstance(cell, int):
                        sheet.write_number(line, column, cell)
                    elif cell is not None:
                        sheet.write_string(line, column, cell)


def _chunks(file: IO[bytes]) -> Generator[bytes, None, None]:
    with file:
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk
