"""The limit that the product is measured against: FastAPI and psycopg with nothing between them, committing the same rows.

Run by `uvicorn tejido_local.bench.bare:app`. BENCH_URL is the database; `copy_of` rows are read once and written again and again.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from psycopg import Connection, sql
from psycopg.postgres import types as postgres_types
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from tejido_shared.ids import new_id

app = FastAPI()
_pool = ConnectionPool(os.environ["BENCH_URL"], min_size=15, max_size=15, open=True)


class Body(BaseModel):
    subject: str
    petitioner: dict[str, str]


class Receipt(BaseModel):
    id: str
    number: str


@contextmanager
def _connection() -> Iterator[Connection[Any]]:
    with _pool.connection() as connection:
        yield connection


class _Row:
    """A row that the product wrote, and the statement that writes its like."""

    def __init__(self, connection: Connection[Any], table: str, where: str) -> None:
        with connection.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(sql.SQL("select * from {} where " + where + " limit 1").format(sql.Identifier(table)))
            row = cursor.fetchone()
            assert row is not None
            assert cursor.description is not None
            self.columns = [column.name for column in cursor.description]
            kinds = [column.type_code for column in cursor.description]
        self.values = [
            Jsonb(value) if kind == _JSONB and value is not None else value
            for kind, value in zip(kinds, row, strict=True)
        ]
        written = [name for name in self.columns if not (table == "outbox" and name == "id")]
        self.statement = sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, written)),
            sql.SQL(", ").join(map(sql.Placeholder, written)),
        )

    def with_(self, **changes: object) -> dict[str, object]:
        return dict(zip(self.columns, self.values, strict=True)) | changes


_JSONB = postgres_types["jsonb"].oid
_rows: dict[str, _Row] = {}


def _row(connection: Connection[Any], table: str, where: str = "true") -> _Row:
    if table not in _rows:
        _rows[table] = _Row(connection, table, where)
    return _rows[table]


@app.post("/file", status_code=201)
def file(body: Body) -> Receipt:  # noqa: ARG001 - parsed, as the product parses it
    """The rows of one petition: the number's counter, the request, its history and its event."""
    request_id = new_id()
    with _connection() as connection:
        request = _row(connection, "service_request")
        history = _row(connection, "history_entry")
        event = _row(connection, "outbox", "envelope->>'type' = 'requests.submitted'")
        found = connection.execute(
            "insert into receipt_counter (series, year, last) values ('bare', 2026, 1)"
            " on conflict (series, year) do update set last = receipt_counter.last + 1 returning last"
        ).fetchone()
        assert found is not None
        number = f"BARE-{found[0]:09d}-{time.time_ns()}"
        connection.execute(request.statement, request.with_(id=request_id, number=number))
        connection.execute(history.statement, history.with_(id=new_id(), request_id=request_id))
        connection.execute(event.statement, event.with_(event_id=new_id()))
    return Receipt(id=str(request_id), number=number)


class Tracked(BaseModel):
    number: str
    status: str
    history: list[dict[str, Any]]


@app.get("/track/{number}")
def track(number: str) -> Tracked:
    """The rows of the tracking page."""
    with _connection() as connection:
        request = connection.execute("select * from service_request where number = %s", [number]).fetchone()
        assert request is not None
        history = connection.execute(
            "select at, kind, details from history_entry where request_id = %s order by at, id", [request[0]]
        ).fetchall()
    return Tracked(
        number=number, status="received", history=[{"at": str(r[0]), "kind": r[1], "details": r[2]} for r in history]
    )
