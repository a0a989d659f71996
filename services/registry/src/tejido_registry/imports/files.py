"""The table of an import that runs on later, encrypted in the store as lines of JSON.

The file was understood when it came, so whoever sent it knows at once what is wrong with the whole; and nothing of a stranger's workbook
is opened again in the background.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from uuid import UUID

from tejido_registry.imports.tables import Table
from tejido_registry.settings import settings
from tejido_shared.files import Store

store = Store("registry-imports", lambda: settings().common)
_LARGEST = 2_000_000_000
_TEXT = {"text/plain": frozenset({"txt"})}


def keep(table: Table) -> UUID:
    """Raises `StoreUnavailable`."""
    return store.take_in(io.BufferedReader(_Lines(_lines(table))), "tabla.txt", largest=_LARGEST, allowed=_TEXT).key


def load(key: UUID) -> Table:
    """The table as it came. Raises `FileNotFoundError`, `Altered` and `StoreUnavailable`."""
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    rest = b""
    for piece in store.read(key):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number, cells = json.loads(line)
            if number:
                rows.append((number, cells))
            else:
                header = cells
    return Table(header, rows)


def fingerprint(table: Table) -> str:
    """The same for the same table, whatever kind of file it came in."""
    digest = hashlib.sha256()
    for line in _lines(table):
        digest.update(line)
    return digest.hexdigest()


def _lines(table: Table) -> Iterator[bytes]:
    for number, cells in ((0, table.header), *table.rows):
        # In ASCII and without a `<`, it is plain text to whoever looks what kind of file it is.
        yield json.dumps([number, cells]).replace("<", "\\u003c").encode() + b"\n"


class _Lines(io.RawIOBase):
    """Lines as a stream."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._left = lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._left:
            line = next(self._lines, None)
            if line is None:
                return 0
            self._left = line
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)
