"""What tests of every service stand on: databases of their own, an issuer of tokens, and the town in one process."""

import atexit
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import psycopg
import sqlalchemy as sa
from celery import Celery
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from psycopg import sql

from tejido_shared.contracts import SERVICES
from tejido_shared.db import Database
from tejido_shared.relay import Relay
from tejido_shared.seam import outbox
from tejido_shared.settings import CommonSettings


class Issuer:
    """A provider of tokens on loopback, with keys of its own: `issuer.token(groups=["registro"])`. Opaque tokens are introspected."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = {**RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True), "kid": "test", "use": "sig"}
        self.opaque: dict[str, dict[str, Any]] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                discovery = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks.json"}
                self._answer({"keys": [jwk]} if self.path == "/jwks.json" else discovery)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                token = body.partition("token=")[2].partition("&")[0]
                self._answer(issuer.opaque.get(token, {"active": False}))

            def _answer(self, body: object) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, groups: list[str] | None = None, sub: str = "persona-1", **claims: Any) -> str:
        """A signed access token, valid for an hour."""
        instant = datetime.now(UTC)
        body = {
            "iss": self.url,
            "aud": "tejido",
            "sub": sub,
            "groups": groups or [],
            "iat": instant,
            "exp": instant + timedelta(hours=1),
            **claims,
        }
        return jwt.encode(body, self._key, algorithm="RS256", headers={"kid": "test"})

    def headers(self, *groups: str, sub: str = "persona-1") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(list(groups), sub)}"}

    def environment(self) -> dict[str, str]:
        return {
            "TEJIDO_OIDC_ISSUER": self.url,
            "TEJIDO_OIDC_INTROSPECTION_URL": f"{self.url}/introspect",
            "TEJIDO_OIDC_CLIENT_ID": "tejido-services",
            "TEJIDO_OIDC_CLIENT_SECRET": "secret",
        }

    def close(self) -> None:
        self._server.shutdown()


def _folder() -> str:
    """A folder that goes with the process."""
    folder = tempfile.mkdtemp(prefix="tejido-files-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def town_environment(name: str, issuer: Issuer, jurisdiction: str) -> dict[str, str]:
    """Fresh, empty databases called `name_<service>` on the test server, and the environment for services that use them.

    They are made only on the server that `./tejido test` started or TEJIDO_TEST_POSTGRES_URL names, and only under a `test_…` name.
    """
    if not name.startswith("test_"):
        raise ValueError("a test's databases are called test_…")
    server = os.environ["TEJIDO_TEST_POSTGRES_URL"]
    with psycopg.connect(server, autocommit=True) as connection:
        for service in SERVICES:
            database = sql.Identifier(f"{name}_{service}")
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))
            connection.execute(sql.SQL("create database {}").format(database))
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    return {
        **{
            f"{service.upper()}_DATABASE_URL": url.set(database=f"{name}_{service}").render_as_string(
                hide_password=False
            )
            for service in SERVICES
        },
        "TEJIDO_BROKER_URL": os.environ["TEJIDO_TEST_REDIS_URL"],
        "TEJIDO_JURISDICTION": jurisdiction,
        "TEJIDO_DATA_KEY": Fernet.generate_key().decode(),
        "TEJIDO_FILES": _folder(),
        "TEJIDO_RATE_LIMIT": "100000/minute",
        **issuer.environment(),
    }


def empty(database: Database) -> None:
    """Removes every row of a test's database, and lets its counters begin anew."""
    if "/test_" not in database.url:
        raise ValueError("not a test's database")
    with database.tx() as session:
        # Without triggers: some refuse it.
        session.execute(sa.text("set local session_replication_role = replica"))
        session.execute(sa.text(_EMPTY))


# Most tables have no rows, and to look costs a hundredth of emptying them.
_EMPTY = """
do $$
declare
    one text;
    has_rows boolean;
    filled text[] := '{}';
begin
    for one in select quote_ident(tablename) from pg_tables where schemaname = 'public' and tablename <> 'alembic_version' loop
        execute format('select exists (select from %s)', one) into has_rows;
        if has_rows then
            filled := filled || one;
        end if;
    end loop;
    if filled <> '{}' then
        execute format('truncate %s cascade', array_to_string(filled, ', '));
    end if;
    perform setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    from pg_sequences where schemaname = 'public' and last_value is not null;
end $$
"""


class TownInOneProcess:
    """Relays and workers of several services, run by hand in the test's own process: real databases, real Redis, no waiting."""

    def __init__(self, apps: Mapping[str, Celery], databases: Mapping[str, Database], settings: CommonSettings) -> None:
        self._apps = apps
        self._databases = databases
        self._relays = [Relay(name, databases[name], settings) for name in apps]

    def until_quiet(self, also: Callable[[], object] | None = None) -> None:
        """Sends and receives until every outbox is empty. `also` is called in each round, e.g. to send mail."""
        for _ in range(100):
            sent = sum(relay.send_due() for relay in self._relays)
            taken = sum(self._drain(app) for app in self._apps.values())
            if also:
                also()
            if not sent and not taken and not any(self._pending(database) for database in self._databases.values()):
                return
        raise AssertionError("the town does not come to rest")

    @staticmethod
    def _pending(database: Database) -> int:
        with database.tx() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(outbox)) or 0

    @staticmethod
    def _drain(app: Celery) -> int:
        taken = 0
        with app.connection_for_read() as connection, connection.channel() as channel:
            for queue in app.conf.task_queues:
                while (message := channel.basic_get(queue.name, no_ack=True)) is not None:
                    taken += 1
                    app.tasks[message.headers["task"]](*message.decode()[0])
        return taken


def wait_until(condition: Callable[[], object], seconds: float = 15.0, what: str = "the condition") -> float:
    """Waits until `condition()` is true and returns how many seconds that took. Raises `AssertionError` when it does not come true."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s")


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
