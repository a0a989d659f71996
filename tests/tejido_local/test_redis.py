"""Redis of the local runtime, run for real."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tejido_local.processes import free_port, leftovers
from tejido_local.redis import Redis, RedisError

PASSWORD = "clave-de-prueba"


@pytest.fixture
def server(open_dir: Path) -> Iterator[Redis]:
    with Redis(open_dir / "redis", free_port(), PASSWORD) as server:
        yield server
    assert leftovers(server.data_dir) == []


def client(server: Redis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_is_set_as_a_broker_needs_it(server: Redis) -> None:
    with client(server) as connection:
        settings = connection.config_get("appendonly", "maxmemory-policy", "bind")
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}


def test_asks_for_the_password(server: Redis) -> None:
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=server.port, retry=None) as connection:
        connection.ping()


def test_no_list_of_processes_shows_the_password(server: Redis) -> None:
    assert [PASSWORD in " ".join(process.cmdline()) for process in leftovers(server.data_dir)] == [False]


def test_data_outlive_a_restart(server: Redis) -> None:
    with client(server) as connection:
        connection.rpush("requests.work", "one")
    server.stop()
    server.start()
    with client(server) as connection:
        assert connection.lrange("requests.work", 0, -1) == ["one"]


@pytest.mark.faults
def test_kill_9_of_the_parent_does_not_block_the_next_start(open_dir: Path) -> None:
    data, port = open_dir / "redis", free_port()
    program = f"""
import time
from pathlib import Path
from tejido_local.redis import Redis
Redis(Path({str(data)!r}), {port}, {PASSWORD!r}).start()
print("started", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    parent.kill()
    parent.wait()
    with Redis(data, port, PASSWORD) as server, client(server) as connection:
        assert connection.ping()


@pytest.mark.faults
def test_a_file_it_cannot_read_is_put_aside(server: Redis) -> None:
    server.stop()
    for file in (server.data_dir / "appendonlydir").glob("*.manifest"):
        file.write_text("not a manifest\n")
    server.start()
    with client(server) as connection:
        assert connection.dbsize() == 0
    assert (server.data_dir / "appendonlydir.unreadable-1").is_dir()


def test_a_failed_start_says_why(server: Redis, open_dir: Path) -> None:
    with pytest.raises(RedisError, match="already in use"):
        Redis(open_dir / "other", server.port, PASSWORD).start()
