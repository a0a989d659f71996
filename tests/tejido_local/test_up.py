"""`./tejido up` and `./tejido test` as a person uses them."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tejido_local.paths import ROOT
from tejido_local.processes import answers, free_port, leftovers, wait_until


def tejido(state: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEJIDO_", "LC_", "LANG"))}
    return subprocess.Popen(
        [ROOT / "tejido", *arguments],
        env={**environment, "TEJIDO_STATE": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        start_new_session=True,
        # As from a terminal: a run started in the background has Ctrl-C ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What it says up to the line with these words; fails where it ends before."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line:
            return said
    pytest.fail(said)


def everything_of(state: Path) -> list[object]:
    return [process for name in ("run", "postgres", "redis") for process in leftovers(state / name)]


@pytest.mark.faults
def test_up_twice_killed_hard_with_a_port_taken_and_stopped(open_dir: Path) -> None:
    base = str(free_port() - 1)
    first = tejido(open_dir, "up", "--port-base", base)
    read_until(first, "Ctrl-C detiene todo")
    urls = json.loads((open_dir / "up.json").read_text())["urls"]
    for service in ("registry", "projects", "requests", "notifications"):
        assert answers(f"{urls[service]}/health/ready")
        document = f"{urls['gateway']}/{service}/v1/openapi.json"
        assert wait_until(lambda url=document: answers(url), 30)  # it is made when it is first asked for
    assert answers(f"{urls['gateway']}/seguimiento/BOG-2026-000001-75")
    assert (open_dir / "secrets.env").stat().st_mode & 0o777 == 0o600

    second = tejido(open_dir, "up", "--fresh")
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "ya está en marcha" in said
    assert urls["registry"] in said

    first.kill()
    first.wait()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        third = tejido(open_dir, "up", "--port-base", str(taken.getsockname()[1] - 1))
        said = read_until(third, "Ctrl-C detiene todo")
    assert f"El puerto {taken_port(said)} está ocupado: registry" in said
    assert len(everything_of(open_dir)) > 18

    third.send_signal(signal.SIGINT)
    said, _ = third.communicate(timeout=60)
    assert third.returncode == 0
    assert "Se detiene todo en orden" in said
    assert everything_of(open_dir) == []


def taken_port(said: str) -> str:
    return said.split("El puerto ")[1].split(" ")[0]


def test_without_its_secrets_the_data_are_not_touched(open_dir: Path) -> None:
    (open_dir / "postgres").mkdir()
    refused = tejido(open_dir, "up")
    said, _ = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert "secrets.env" in said


def test_an_unknown_jurisdiction_is_refused_with_those_that_there_are(open_dir: Path) -> None:
    refused = tejido(open_dir, "up", "--jurisdiction", "atlantida")
    said, _ = refused.communicate(timeout=30)
    assert refused.returncode == 1
    assert "ar-tucuman, co-bogota" in said


def test_the_tests_get_servers_that_end_with_them(open_dir: Path) -> None:
    (open_dir / "test_one.py").write_text(
        "import os, time\n"
        "def test_one():\n"
        "    print('\\nservers', os.environ['TEJIDO_TEST_POSTGRES_URL'], os.environ['TEJIDO_TEST_REDIS_URL'], flush=True)\n"
        "    time.sleep(60)\n"
    )
    running = tejido(open_dir, "test", "-s", "-p", "no:cacheprovider", str(open_dir / "test_one.py"))
    read_until(running, "servers postgresql://")
    [directory] = open_dir.glob("test-*")
    servers = leftovers(directory / "postgres") + leftovers(directory / "redis")
    assert len(servers) >= 2  # at least their parents: in a container not every process shows where it is at home
    os.killpg(running.pid, signal.SIGINT)  # as a terminal's Ctrl-C, to all of them
    running.communicate(timeout=30)
    assert running.returncode == 2  # pytest: interrupted
    assert not any(process.is_running() for process in servers)
    assert not directory.exists()
