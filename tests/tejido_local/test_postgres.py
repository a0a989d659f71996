"""PostgreSQL of the local runtime, run for real: accounts, separation of the services, and what a hard kill leaves."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tejido_local.postgres import Postgres, PostgresError
from tejido_local.processes import free_port, leftovers, port_is_free, wait_until

PASSWORD = "clave-de-prueba"


@pytest.fixture(scope="module")
def server(module_dir: Path) -> Iterator[Postgres]:
    with Postgres(module_dir / "postgres", free_port(), PASSWORD, fast=True) as server:
        yield server
    assert leftovers(server.data_dir) == []


def ask(server: Postgres, query: str, **connection: str) -> object:
    with psycopg.connect(server.url(**connection), autocommit=True) as session:
        cursor = session.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def parent_of_a_server(data_dir: Path, port: int) -> subprocess.Popen[str]:
    """A process that started a server and goes on living."""
    program = f"""
import time
from pathlib import Path
from tejido_local.postgres import Postgres
Postgres(Path({str(data_dir)!r}), {port}, {PASSWORD!r}, fast=True).start()
print("started", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    return parent


def test_speaks_spanish_and_listens_on_loopback_only(server: Postgres) -> None:
    assert (
        ask(server, "SELECT upper('ñandú') || ' ' || current_setting('server_version_num')::int / 10000") == "ÑANDÚ 18"
    )
    assert ask(server, "SELECT provider FROM (SELECT datlocprovider AS provider FROM pg_database) AS p LIMIT 1") == "b"
    assert ask(server, "SHOW unix_socket_directories") == ""
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"


def test_asks_for_the_password(server: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url(password="otra"))


def test_never_runs_as_root(server: Postgres) -> None:
    assert all(process.uids().real != 0 for process in leftovers(server.data_dir))


def test_each_role_enters_its_own_database_only(server: Postgres) -> None:
    server.create_databases({"registry": "vieja", "requests": "b"})
    server.create_databases({"registry": "a", "requests": "b"})
    mine = {"database": "registry", "role": "registry", "password": "a"}
    ask(server, "CREATE TABLE thing AS SELECT 1 AS x", **mine)
    assert ask(server, "SELECT x FROM thing", **mine) == 1
    for database in ("requests", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(server.url(database, "registry", "a"))


def test_data_outlive_a_restart(server: Postgres) -> None:
    ask(server, "CREATE TABLE thing AS SELECT 7 AS x")
    server.stop()
    assert port_is_free(server.port)
    server.start()
    assert ask(server, "SELECT x FROM thing") == 7


@pytest.mark.faults
def test_kill_9_of_the_parent_does_not_block_the_next_start(open_dir: Path) -> None:
    data, port = open_dir / "postgres", free_port()
    parent = parent_of_a_server(data, port)
    server = Postgres(data, port, PASSWORD, fast=True)
    ask(server, "CREATE TABLE thing AS SELECT 7 AS x")
    parent.kill()
    parent.wait()
    with server:
        assert ask(server, "SELECT x FROM thing") == 7


@pytest.mark.faults
def test_kill_9_of_server_and_parent_together(open_dir: Path) -> None:
    data, port = open_dir / "postgres", free_port()
    parent = parent_of_a_server(data, port)
    postmaster = int((data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    parent.kill()
    parent.wait()
    with Postgres(data, port, PASSWORD, fast=True) as server:
        assert ask(server, "SELECT 1") == 1


@pytest.mark.faults
def test_takes_over_from_a_server_still_running_on_its_data(open_dir: Path) -> None:
    forgotten = Postgres(open_dir / "postgres", free_port(), PASSWORD, fast=True)
    forgotten.start()
    with Postgres(open_dir / "postgres", free_port(), PASSWORD, fast=True) as server:
        assert ask(server, "SELECT 1") == 1
        assert forgotten.has_ended()


@pytest.mark.faults
def test_leaves_a_stranger_with_the_pid_of_an_old_server_alone(server: Postgres) -> None:
    assert server.process is not None
    account = {"user": psutil.Process(server.process.pid).uids().real} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], **account)  # type: ignore[call-overload]
    try:
        pid_file = server.data_dir / "postmaster.pid"
        old = pid_file.read_text()
        server.process.kill()
        server.process.wait()
        assert wait_until(lambda: leftovers(server.data_dir) == [], 10)
        pid_file.write_text(old.replace(str(server.process.pid), str(stranger.pid), 1))
        server.start()
        assert ask(server, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.faults
def test_half_made_data_are_made_anew(open_dir: Path) -> None:
    unfinished = open_dir / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    with Postgres(open_dir / "postgres", free_port(), PASSWORD, fast=True) as server:
        assert ask(server, "SELECT 1") == 1


def test_below_a_directory_closed_to_the_server_account(closed_dir: Path) -> None:
    server = Postgres(closed_dir / "postgres", free_port(), PASSWORD, fast=True)
    try:
        with server:
            assert ask(server, "SELECT 1") == 1
            assert closed_dir.stat().st_mode & 0o777 == 0o700
            place = server.data_dir.resolve()
            assert place.is_relative_to(closed_dir) == (os.geteuid() != 0)
    finally:
        server.remove()
    assert not place.exists()
    assert not os.path.lexists(server.data_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another account")
def test_data_of_a_deleted_checkout_are_deleted(tmp_path_factory: pytest.TempPathFactory) -> None:
    first, second = (
        Postgres(tmp_path_factory.mktemp(name) / "postgres", free_port(), PASSWORD, fast=True) for name in "ab"
    )
    with first:
        place = first.data_dir.resolve()
    assert place.exists()
    shutil.rmtree(first.data_dir.parent)
    with second:
        assert not place.exists()
    second.remove()


def test_a_failed_start_says_why(open_dir: Path) -> None:
    with Postgres(open_dir / "one", free_port(), PASSWORD, fast=True) as first:
        with pytest.raises(PostgresError, match="Address already in use"):
            Postgres(open_dir / "two", first.port, PASSWORD, fast=True).start()
