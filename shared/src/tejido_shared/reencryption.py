"""After a rotation: encrypts with the first data key whatever an older one encrypted, so that the older one can be taken away.

Small transactions, one after the other: it may run beside the service, be killed and be run again; what is done stays done. It
covers `Personal` columns, and the sealed texts of events that wait. What was hashed with a key (`personal.fingerprints`) the service
itself must hash anew: `renewed` tells it of which rows. Tables that refuse updates, as histories under a chain of hashes do, are not
for it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from tejido_shared import seam
from tejido_shared.db import Database
from tejido_shared.personal import Personal, renew

BATCH = 500
UNREADABLE = "unreadable"
_TOKEN = re.compile(r"gAAAAA[\w-]{90,}={0,2}")
"""A Fernet token: version 0x80 and the zeros of a timestamp before 2106, in base64."""
Renewed = Callable[[Session, sa.Table, Sequence[Any]], None]
log = structlog.get_logger()


def reencrypt(
    database: Database, tables: Iterable[sa.Table], renewed: Renewed | None = None, batch: int = BATCH
) -> Counter[str]:
    """Goes through these tables by their keys. Returns how many rows were encrypted anew, by table.

    Under `UNREADABLE` those with a value that no key opens, which stay as they are. `renewed` is called in each transaction with the
    rows that it changed: their one key, or several as a tuple.
    """
    counts: Counter[str] = Counter()
    for table in tables:
        sealed = (Personal, JSONB) if table.metadata is seam.metadata else (Personal,)
        if columns := [one for one in table.columns if isinstance(one.type, sealed)]:
            _renew_table(database, table, columns, renewed, batch, counts)
    return counts


def _renew_table(
    database: Database,
    table: sa.Table,
    columns: list["sa.Column[Any]"],
    renewed: Renewed | None,
    batch: int,
    counts: Counter[str],
) -> None:
    keys = list(table.primary_key.columns)
    raw = [
        sa.type_coerce(one, sa.LargeBinary) if isinstance(one.type, Personal) else sa.cast(one, sa.Text)
        for one in columns
    ]
    filled = sa.or_(*(one.is_not(None) for one in columns))
    last: tuple[Any, ...] | None = None
    while True:
        query = sa.select(*keys, *raw).where(filled).order_by(*keys).limit(batch)
        if last is not None:
            query = query.where(
                sa.tuple_(*keys) > sa.tuple_(*(sa.literal(v, k.type) for k, v in zip(keys, last, strict=True)))
            )
        with database.tx() as session:
            rows = session.execute(query).all()
            changed = []
            for row in rows:
                key, values = tuple(row[: len(keys)]), row[len(keys) :]
                new = {}
                for column, cast, value in zip(columns, raw, values, strict=True):
                    try:
                        fresh = None if value is None else _fresh(value)
                    except ValueError:
                        counts[UNREADABLE] += 1
                        log.error("unreadable_value", table=table.name, column=column.name)  # noqa: TRY400
                        continue
                    if fresh is not None:
                        new[column] = (cast, value, fresh)
                if new and _write(session, table, dict(zip(keys, key, strict=True)), new):
                    changed.append(key if len(key) > 1 else key[0])
            counts[table.name] += len(changed)
            if changed and renewed is not None:
                renewed(session, table, changed)
        if len(rows) < batch:
            return
        last = tuple(rows[-1][: len(keys)])


def _fresh(value: bytes | str) -> bytes | str | None:
    """A stored value as it is with the first key; None if it is so already. Raises `ValueError` if no key opens it."""
    if isinstance(value, str):
        found = _TOKEN.sub(lambda token: renew(token[0]) or token[0], value)
        return found if found != value else None
    token = renew(bytes(value).decode())
    return None if token is None else token.encode()


def _write(session: Session, table: sa.Table, key: dict[Any, Any], new: dict[Any, tuple[Any, Any, Any]]) -> bool:
    """Whether the row was still as it was read: whoever wrote meanwhile did so with the first key."""
    update = sa.update(table).where(*(column == value for column, value in key.items()))
    values: dict[Any, Any] = {}
    for column, (cast, value, fresh) in new.items():
        update = update.where(cast == value)
        values[column] = (
            sa.literal(fresh, sa.LargeBinary)
            if isinstance(fresh, bytes)
            else sa.cast(sa.literal(fresh, sa.Text), JSONB)
        )
    return bool(session.connection().execute(update.values(values)).rowcount)
