"""The supervisor, with real processes: restart, order, and what a killed parent leaves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tejido_local.processes import Program, Supervisor, answers, free_port, leftovers, port_is_free, wait_until

SERVES = """
import http.server, os, sys
print("serving", os.environ["GREETING"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
STUBBORN = """
import signal, time, pathlib, sys
signal.signal(signal.SIGTERM, lambda *_: None)
pathlib.Path(sys.argv[1]).touch()
while True: time.sleep(1)
"""
FORKING = """
import os, time
os.fork()
while True: time.sleep(1)
"""


@pytest.fixture
def told() -> list[tuple[str, dict[str, object]]]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, told: list[tuple[str, dict[str, object]]]) -> Iterator[Supervisor]:
    def announce(event: str, **params: object) -> None:
        told.append((event, params))

    with Supervisor(tmp_path / "run", tmp_path / "log", announce) as supervisor:
        yield supervisor
    assert leftovers(tmp_path / "run") == []


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Makes a module that `python -m NAME` runs, here and in children."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def eventually(supervisor: Supervisor, condition: Callable[[], bool], seconds: float = 10) -> None:
    def look() -> bool:
        supervisor.look_after()
        return condition()

    assert wait_until(look, seconds)


def web(command: list[str], port: int, name: str = "web") -> Program:
    return Program(name, [*command, str(port)], {"GREETING": "hola"}, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("interpreter", [[sys.executable], [sys.executable, "-P"]], ids=["forked", "executed"])
def test_runs_a_module_until_told_to_stop(
    supervisor: Supervisor, module: Callable[[str, str], str], interpreter: list[str]
) -> None:
    port = free_port()
    supervisor.start(web([*interpreter, "-m", module("greeter", SERVES)], port))
    assert supervisor.wait_ready(10) == []
    process = psutil.Process(supervisor.pids()["web"])
    assert process.cwd() == str(supervisor.directory)
    assert supervisor.log("web").read_text().startswith("serving hola")
    assert (process.name() == "web") == (interpreter == [sys.executable])
    supervisor.stop()
    assert port_is_free(port)
    assert not process.is_running()


@pytest.mark.faults
def test_starts_a_killed_program_again_and_says_so(
    supervisor: Supervisor, module: Callable[[str, str], str], told: list[tuple[str, dict[str, object]]]
) -> None:
    supervisor.start(web([sys.executable, "-m", module("greeter", SERVES)], free_port()))
    assert supervisor.wait_ready(10) == []
    first = supervisor.pids()["web"]
    os.kill(first, signal.SIGKILL)
    eventually(supervisor, lambda: supervisor.pids().get("web", first) != first)
    assert supervisor.wait_ready(10) == []
    ended = [params for event, params in told if event == "process_ended"]
    assert [(params["name"], params["status"], params["seconds"]) for params in ended] == [
        ("web", -signal.SIGKILL, 0.5)
    ]


@pytest.mark.faults
def test_a_killed_program_takes_its_children_along(supervisor: Supervisor, module: Callable[[str, str], str]) -> None:
    supervisor.start(Program("pool", [sys.executable, "-m", module("forking", FORKING)]))
    assert wait_until(lambda: len(leftovers(supervisor.directory)) == 2, 10)
    first = {process.pid for process in leftovers(supervisor.directory)}
    os.kill(supervisor.pids()["pool"], signal.SIGKILL)
    eventually(supervisor, lambda: first.isdisjoint(process.pid for process in leftovers(supervisor.directory)))


def test_gives_up_on_a_program_that_fails_again_and_again(
    supervisor: Supervisor, module: Callable[[str, str], str], told: list[tuple[str, dict[str, object]]]
) -> None:
    supervisor.start(web([sys.executable, "-m", module("failing", "raise ValueError('por esto')")], free_port()))
    assert supervisor.wait_ready(20) == ["web"]
    assert [params["seconds"] for event, params in told if event == "process_ended"] == [0.5, 1.0, 2.0]
    assert "por esto" in supervisor.log("web").read_text()


def test_run_once_names_what_failed(supervisor: Supervisor, module: Callable[[str, str], str]) -> None:
    good = Program("good", [sys.executable, "-m", module("good", "")])
    bad = Program("bad", [sys.executable, "-m", module("bad", "raise SystemExit(3)")])
    assert supervisor.run_once(good, bad) == ["bad"]


def test_stops_later_stages_first_and_kills_the_stubborn(
    supervisor: Supervisor, module: Callable[[str, str], str], tmp_path: Path
) -> None:
    name = module("stubborn", STUBBORN)
    for stage in (0, 1):
        command = [sys.executable, "-m", name, str(tmp_path / f"ready-{stage}")]
        supervisor.start(Program(f"stage-{stage}", command, stage=stage))
    assert wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 2, 10)
    begun = time.monotonic()
    supervisor.stop(patience=0.5)
    assert 1.0 <= time.monotonic() - begun < 5


@pytest.mark.faults
def test_kill_9_of_the_parent_leaves_nothing_behind(tmp_path: Path, module: Callable[[str, str], str]) -> None:
    port = free_port()
    module("greeter", SERVES)
    module("stubborn", STUBBORN)
    program = f"""
import sys
from pathlib import Path
from tejido_local.processes import Program, Supervisor
with Supervisor(Path({str(tmp_path)!r}) / "run", Path({str(tmp_path)!r}) / "log", lambda *_, **__: None) as supervisor:
    greeter = Program("web", [sys.executable, "-m", "greeter", "{port}"], {{"GREETING": "x"}}, "http://127.0.0.1:{port}/")
    stubborn = Program("stubborn", [sys.executable, "-m", "stubborn", {str(tmp_path / "ready")!r}])
    supervisor.start(greeter, stubborn)
    supervisor.wait_ready(10)
    print("started", flush=True)
    supervisor.run()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    assert wait_until((tmp_path / "ready").exists, 10)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: port_is_free(port), 5)  # told by the kernel
    assert len(leftovers(tmp_path / "run")) == 1  # the one that ignores it
    with Supervisor(tmp_path / "run", tmp_path / "log", lambda *_, **__: None):
        assert leftovers(tmp_path / "run") == []


def test_somebody_who_speaks_no_http_is_not_ready() -> None:
    """As a connection to a port of nobody's that happened to get the same port, which hears itself."""

    def echo() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(connection.recv(1000))

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        echoing = threading.Thread(target=echo)
        echoing.start()
        assert not answers(f"http://127.0.0.1:{listener.getsockname()[1]}/health/ready")
        echoing.join()
