"""The database of a service. The only commit of the whole system is the end of `Database.tx`."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, DateTime, Engine, MetaData, Text, Uuid, create_engine, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from tejido_shared.settings import ServiceSettings

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
OUTBOX_CHANNEL = "outbox"
IDLE_SECONDS = 2.0
GATHER_SECONDS = 0.01
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
}
"""Of every connection: how long it waits for a server that is gone without a word, for a statement and for a lock. libpq's parameters, in
seconds; `tcp_user_timeout` and PostgreSQL's own in milliseconds."""


TYPES: dict[Any, Any] = {
    datetime: DateTime(timezone=True),
    str: Text,
    UUID: Uuid,
    dict[str, Any]: JSONB,
    list[Any]: JSONB,
}
"""What a service's `Base` maps Python types to: `type_annotation_map = TYPES`."""


def new_metadata() -> MetaData:
    """Metadata with names that migrations can rely on."""
    return MetaData(naming_convention=NAMING)


class Database:
    """One service's database in one process. Connects on first use, so a forked worker gets connections of its own."""

    def __init__(self, settings: Callable[[], ServiceSettings]) -> None:
        self._settings = settings
        self._waker: _Waker | None = None

    @property
    def url(self) -> str:
        return self._settings().database_url.get_secret_value()

    @property
    def libpq_url(self) -> str:
        """The same address as libpq writes it, for connections that are not the pool's."""
        return self.url.replace("postgresql+psycopg:", "postgresql:")

    @cached_property
    def engine(self) -> Engine:
        engine = create_engine(
            self.url,
            pool_size=self._settings().database_pool,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,  # an error's text goes to the log, and parameters are people's data
            connect_args=_CONNECT,
        )
        _check_idle_connections(engine)
        return engine

    @cached_property
    def _sessions(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine, expire_on_commit=False)

    @cached_property
    def _readers(self) -> sessionmaker[Session]:
        # Rows it loads are nobody's to change; so nothing is flushed, and a forgotten write fails in review, not in production.
        return sessionmaker(
            self.engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False, autoflush=False
        )

    @contextmanager
    def tx(self) -> Iterator[Session]:
        """One transaction: commits when the block ends, rolls back when it raises, then wakes the relay if events were emitted."""
        with self._sessions() as session:
            with session.begin():
                yield session
            emitted = session.info.pop("emitted", False)
        if emitted:
            self.wake_relay()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading whose statements are each by themselves: no round trips for a transaction. Nothing may be written in it."""
        with self._readers() as session:
            yield session

    @contextmanager
    def rows(self) -> Iterator[Connection]:
        """Like `read`, for a page that shows plain rows: a connection and no session, which halves what a short query costs."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that is not one of the pool's, for what lasts: locks of a session, listening. Each statement is by itself."""
        return psycopg.connect(self.libpq_url, autocommit=True, **_CONNECT)

    def wake_relay(self) -> None:
        if self._waker is None:
            self._waker = _Waker(self.connect)
        self._waker.wake()

    def forget(self) -> None:
        """Leaves the parent's connections to the parent: a forked process calls this first."""
        if "engine" in self.__dict__:
            self.engine.dispose(close=False)
            del self.__dict__["engine"]
        self._drop_sessions()
        self._waker = None

    def close(self) -> None:
        """Closes every connection."""
        if self._waker:
            self._waker.stop()
            self._waker = None
        if "engine" in self.__dict__:
            self.engine.dispose()
            del self.__dict__["engine"]
        self._drop_sessions()

    def _drop_sessions(self) -> None:
        self.__dict__.pop("_sessions", None)
        self.__dict__.pop("_readers", None)


def _check_idle_connections(engine: Engine) -> None:
    """A connection that lay idle for a while is tried before it is used, so that a restarted PostgreSQL is not noticed by a caller."""

    @event.listens_for(engine, "checkin")
    def remember(_: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def try_first(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error:
            raise DisconnectionError from None


class _Waker:
    """Tells the relay that something was committed, from a thread of its own and many commits at once.

    A NOTIFY inside the transaction would make all commits of the database wait for one another, for PostgreSQL delivers
    notifications in commit order under one lock. Sent afterwards it may be lost with the process; the relay's poll is the net.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="relay-waker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wanted.set()

    def stop(self) -> None:
        self._stopped = True
        self._wanted.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        connection: psycopg.Connection | None = None
        # Looked at before waiting too: what is cleared below may be the wake of a stop.
        while not self._stopped and self._wanted.wait() and not self._stopped:
            time.sleep(GATHER_SECONDS)
            self._wanted.clear()
            try:
                if connection is None:
                    connection = self._connect()
                connection.execute(f"NOTIFY {OUTBOX_CHANNEL}")
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()
