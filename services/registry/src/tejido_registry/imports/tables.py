"""Reads a register's file, CSV or XLSX, into rows of text. Pure: bytes in, rows out."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from python_calamine import CalamineWorkbook

MOST_CELLS = 5_000_000
MOST_UNPACKED = 300_000_000
"""Bytes. A sheet is held whole in memory, and a cell in its last corner would ask for half a terabyte."""
_CELL = re.compile(rb"""\sr=["']([A-Z]{1,3})([0-9]{1,7})["']""")
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r")
_MOJIBAKE = re.compile(rb"\xc3[\x80-\xbf]")


class Unreadable(Exception):  # noqa: N818
    """A file that is no table we can read. `code` names the reason in the catalogue."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


class Table(NamedTuple):
    """`header` are the columns' names; `rows` are numbered as a spreadsheet does, the header being row 1. Empty rows are left out."""

    header: list[str]
    rows: list[tuple[int, list[str]]]

    def column(self, name: str) -> int:
        return self.header.index(name)


def read(data: bytes, columns: Iterable[str]) -> Table:
    """The table in a CSV file (`,`, `;` or tab; UTF-8 or Latin-1) or an XLSX's first sheet, which must have these columns.

    Raises `Unreadable` with the reason.
    """
    if not data.strip():
        raise Unreadable("file_empty")
    lines = _workbook(data) if data.startswith(b"PK\x03\x04") else _csv(_decoded(data))
    rows = [(number, cells) for number, cells in enumerate(lines, 1) if any(cells)]
    if not rows:
        raise Unreadable("file_empty")
    (first, header), wanted = rows[0], set(columns)
    missing = sorted(wanted.difference(header))
    if missing:
        for number, cells in rows[1:20]:
            if wanted.issubset(cells):
                raise Unreadable("header_below", row=number)
        raise Unreadable("column_missing", columns=", ".join(missing), present=", ".join(filter(None, header))[:500])
    for name in sorted(wanted):
        if header.count(name) > 1:
            raise Unreadable("column_repeated", column=name)
    for number, cells in rows[1:]:
        if cells == header:
            raise Unreadable("header_repeated", row=number)
    return Table(header, [(number, cells) for number, cells in rows[1:] if number > first])


def _decoded(data: bytes) -> str:
    if len(data) - len(data.translate(None, _CONTROLS)) > len(data) / 100 + 3:
        raise Unreadable("not_a_table")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if _MOJIBAKE.search(data):
            # Some of it is UTF-8: read as Latin-1 it would fill the register with "NiÃ±o".
            raise Unreadable("encoding_mixed", row=data.count(b"\n", 0, error.start) + 1) from None
    try:
        return data.decode("cp1252")  # Latin-1 as Windows writes it, with typographic quotes
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _csv(text: str) -> Iterator[list[str]]:
    head = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader([])
    try:
        delimiter = max(",;\t", key=lambda candidate: len(next(csv.reader([head], delimiter=candidate), [])))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for cells in reader:
            yield [cell.strip() for cell in cells]
    except csv.Error:
        raise Unreadable("csv_syntax", row=reader.line_num) from None


def _workbook(data: bytes) -> list[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _refuse_huge(archive)
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        cells = sheet.to_python(skip_empty_area=False)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable("workbook") from error
    return [[_text(cell) for cell in row] for row in cells]


def _refuse_huge(archive: zipfile.ZipFile) -> None:
    if "xl/workbook.xml" not in archive.namelist():
        raise Unreadable("not_a_table")
    if sum(member.file_size for member in archive.infolist()) > MOST_UNPACKED:
        raise Unreadable("workbook_huge")
    for name in archive.namelist():
        if not name.startswith("xl/worksheets/") or not name.endswith(".xml"):
            continue
        rows = columns = 0
        with archive.open(name) as sheet:
            tail = b""
            while chunk := sheet.read(1 << 20):
                for letters, number in _CELL.findall(tail + chunk):
                    rows, columns = max(rows, int(number)), max(columns, _column(letters))
                tail = chunk[-20:]
        if rows * columns > MOST_CELLS:
            raise Unreadable("workbook_huge")


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
