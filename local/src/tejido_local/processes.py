"""Starting, watching and stopping child processes so that nothing outlives its parent or blocks the next start.

Sixteen Python programs that each import FastAPI, SQLAlchemy and Celery need some 3 s of processor time apiece: 25 s on
two cores. So `Supervisor` imports those libraries once and forks: a program given as `[sys.executable, "-m", MODULE, …]`
runs in a fork of this process and shares what was imported; any other command is executed. Nothing here starts a
thread, for a fork keeps only one.
"""

import contextlib
import ctypes
import gc
import http.client
import importlib
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Protocol, Self

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

_LARGEST_LOG = 5_000_000  # bytes; a longer one becomes NAME.log.1 at the next start
_STEADY_SECONDS = 60.0  # a program that ran so long before it ended starts its count of failures anew
_LONGEST_BACKOFF = 30.0


def follow_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs before anything else: own session (the terminal's Ctrl-C is the parent's), and `death_signal`
    from the kernel when the parent dies, however it dies. Outside Linux only `stop_leftovers` covers a killed parent.
    """
    parent = os.getpid()

    def in_child() -> None:
        os.setsid()
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os.kill(os.getpid(), death_signal)

    return in_child


def leftovers(directory: Path) -> list[psutil.Process]:
    """Processes of a start that was killed: those whose working directory is `directory`, which only ours use."""
    ours = directory.resolve()
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _works_in(p, ours)]


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        try:
            # Linux marks the directory of a process whose folder was removed under it.
            return process.cwd().removesuffix(" (deleted)") == str(directory)
        except psutil.AccessDenied:
            # Root in a container may not ask this of PostgreSQL, which runs as another account, and is told its directory.
            return process.name() == "postgres" and str(directory) in process.cmdline()
    except (psutil.Error, OSError):
        return False


def stop_leftovers(directory: Path, how: int = signal.SIGTERM, patience: float = 10) -> int:
    """Stop every process working in `directory`: signal `how`, after `patience` seconds SIGKILL. Returns how many."""
    found = leftovers(directory)
    for process in found:
        _signal(process, how)
    for process in psutil.wait_procs(found, timeout=patience)[1]:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(found, timeout=patience)
    return len(found)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def port_is_free(port: int) -> bool:
    """Whether 127.0.0.1:`port` can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, chosen by the system."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, to show with an error."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.02) -> bool:
    """Whether `condition` came true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


@dataclass(frozen=True)
class Program:
    """One child: its command, what its environment has beyond ours, the URL that answers 200 once it is ready (none: it
    is as soon as it runs), and its stage, of which the highest is stopped first.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str = ""
    stage: int = 1


class Server(Protocol):
    """PostgreSQL or Redis, as far as `Supervisor` watches them."""

    def start(self) -> None: ...
    def has_ended(self) -> bool: ...


class _Child:
    """A running program, forked or executed."""

    def __init__(self, program: Program, directory: Path, log: Path) -> None:
        self.since = time.monotonic()
        self._forked: multiprocessing.process.BaseProcess | None = None
        self._executed: subprocess.Popen[bytes] | None = None
        follow = follow_parent(signal.SIGTERM)
        if program.command[:2] == [sys.executable, "-m"]:
            fork = multiprocessing.get_context("fork")
            self._forked = fork.Process(target=_become, args=(program, directory, log, follow), name=program.name)
            self._forked.start()
            self.pid = self._forked.pid or 0
            return
        with log.open("ab") as output:
            self._executed = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env={**os.environ, **program.environment},
                preexec_fn=follow,  # noqa: PLW1509  no threads in these programs
            )
        self.pid = self._executed.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        if self._forked is not None:
            return self._forked.exitcode
        assert self._executed is not None
        return self._executed.poll()

    def send(self, number: int) -> None:
        if self.exit_code() is None:
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Kill it and what it started: each child leads a session, and so a process group, of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def _become(program: Program, directory: Path, log: Path, follow: Callable[[], None]) -> None:
    """In a fork of this process: turn into `program`, as `python -m` would run it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    follow()
    os.chdir(directory)
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    _let_go_of_descriptors()
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    if _libc is not None:
        _libc.prctl(_PR_SET_NAME, program.name.encode()[:15], 0, 0, 0)
    os.environ.update(program.environment)
    module, arguments = program.command[2], program.command[3:]
    sys.argv = [module, *arguments]
    if not hasattr(sys.modules.get(module), "__path__"):  # of a package, `__main__` is run, and the package stays
        sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _let_go_of_descriptors() -> None:
    """The parent's locks and connections are the parent's. Their numbers stay taken: objects that were forked along close them when they
    are collected, at any later moment, and would close something of the program's own that had got the number."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3, 1024):
        with contextlib.suppress(OSError):
            os.fstat(number)
            if number != nothing:
                os.dup2(nothing, number, inheritable=False)


class Supervisor:
    """Keeps programs running in `directory` (which nothing else may use), each with its log file in `logs`, and starts a
    server or a program that ended again, each time later. `announce(event, **params)` hears of `process_ready` (name),
    `process_ended` (name, status, seconds, log) and `server_ended` (name).
    """

    def __init__(
        self, directory: Path, logs: Path, announce: Callable[..., None], servers: Mapping[str, Server] | None = None
    ) -> None:
        self.directory = directory
        self.logs = logs
        self._announce = announce
        self._servers = dict(servers or {})
        self._programs: dict[str, Program] = {}
        self._children: dict[str, _Child] = {}
        self._failures: dict[str, int] = {}
        self._restart_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        """First ends what a killed parent left."""
        stop_leftovers(self.directory, patience=3)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @staticmethod
    def preload(modules: Iterable[str]) -> None:
        """Import what the forked programs share. None of them may start a thread or read this process's environment."""
        for module in modules:
            importlib.import_module(module)
        gc.collect()
        gc.freeze()  # else the collector would write to, and so copy, every shared page

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.logs / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """The process id of every running program."""
        return {name: child.pid for name, child in self._children.items()}

    def start(self, *programs: Program) -> None:
        """Start programs and keep them running from now on."""
        for program in programs:
            log = self.log(program.name)
            if log.exists() and log.stat().st_size > _LARGEST_LOG:
                log.replace(log.with_name(log.name + ".1"))
            self._programs[program.name] = program
            self._children[program.name] = _Child(program, self.directory, log)

    def run_once(self, *programs: Program) -> list[str]:
        """Run programs side by side to their end. Returns the names of those that failed."""
        running = {program.name: _Child(program, self.directory, self.log(program.name)) for program in programs}
        try:
            wait_until(lambda: all(child.exit_code() is not None for child in running.values()), float("inf"))
        finally:
            for child in running.values():
                child.send(signal.SIGKILL)
        return [name for name, child in running.items() if child.exit_code() != 0]

    def wait_ready(self, seconds: float) -> list[str]:
        """Wait until every program is ready; returns the names of those that are not after `seconds`, or that fail again
        and again."""
        waiting = {name: program for name, program in self._programs.items() if program.ready_url}
        end = time.monotonic() + seconds
        while waiting and time.monotonic() < end:
            self.look_after()
            hopeless = [name for name, count in self._failures.items() if count >= 3]
            if hopeless:
                return hopeless
            for name, program in list(waiting.items()):
                if answers(program.ready_url):
                    del waiting[name]
                    self._announce("process_ready", name=name)
            time.sleep(0.05)
        return list(waiting)

    def run(self, every: float = 0.2) -> None:
        """Look after everything until an exception, such as the KeyboardInterrupt of Ctrl-C, ends it."""
        while True:
            self.look_after()
            time.sleep(every)

    def look_after(self) -> None:
        """Start again what ended and whose time has come."""
        for name, server in self._servers.items():
            if server.has_ended():
                self._announce("server_ended", name=name)
                server.start()
        now = time.monotonic()
        for name, child in list(self._children.items()):
            code = child.exit_code()
            if code is None:
                continue
            child.kill_group()
            del self._children[name]
            self._failures[name] = 1 if now - child.since > _STEADY_SECONDS else self._failures.get(name, 0) + 1
            delay = min(0.5 * 2 ** (self._failures[name] - 1), _LONGEST_BACKOFF)
            self._restart_at[name] = now + delay
            self._announce("process_ended", name=name, status=code, seconds=delay, log=self.log(name))
        for name, moment in list(self._restart_at.items()):
            if now >= moment:
                del self._restart_at[name]
                self.start(self._programs[name])

    def stop(self, patience: float = 15) -> None:
        """Stop everything in reverse order, the programs of one stage together: SIGTERM, and SIGKILL after `patience`
        seconds or a second Ctrl-C."""
        hurry = False

        def hurry_up(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            nonlocal hurry
            hurry = True

        before = {number: signal.signal(number, hurry_up) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            for stage in sorted({program.stage for program in self._programs.values()}, reverse=True):
                children = [child for name, child in self._children.items() if self._programs[name].stage == stage]
                for child in children:
                    child.send(signal.SIGTERM)
                wait_until(lambda: hurry or all(child.exit_code() is not None for child in children), patience)  # noqa: B023
                for child in children:
                    child.kill_group()
                wait_until(lambda: all(child.exit_code() is not None for child in children), 5)  # noqa: B023
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self._children.clear()
        self._restart_at.clear()


def answers(url: str) -> bool:
    """Whether a GET of this URL gives 200 within 2 s."""
    try:
        # The default opener would send even loopback requests through a proxy of the environment.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # nobody, or somebody who speaks no HTTP
        return False


def workers_of(service: str) -> dict[str, list[str]]:
    """The workers of a service by name, with their options for Celery; as in docker-compose.yml.

    What notifications sends may keep a worker busy for seconds, so there events have one of their own.
    """
    if service != "notifications":
        return {f"{service}-worker": []}
    return {
        f"{service}-worker": ["--queues", f"{service}.events,{service}.confirms"],
        f"{service}-sender": ["--queues", f"{service}.work"],
    }
