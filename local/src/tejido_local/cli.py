"""The subcommands of `./tejido`."""

import argparse
import importlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tejido_local.paths import ROOT, STATE
from tejido_local.postgres import Postgres
from tejido_local.processes import free_port
from tejido_local.redis import Redis
from tejido_local.texts import say, text


def main(arguments: list[str]) -> int:
    """Run one subcommand; returns the exit code."""
    try:
        return _run(arguments)
    except PermissionError as error:
        say("cli.not_yours", path=error.filename)
        return 1


def _run(arguments: list[str]) -> int:
    # pytest and the bench have options of their own, which argparse would take for ours.
    if arguments[:1] == ["test"]:
        with test_servers():
            return run_to_its_end([sys.executable, "-m", "pytest", *side_by_side(arguments[1:]), *arguments[1:]])
    if arguments[:1] == ["bench"]:
        with test_servers():
            return int(importlib.import_module("tejido_local.bench").main(arguments[1:]))

    chosen = _parser().parse_args(arguments)
    if chosen.command == "up":
        from tejido_local.up import up

        return up(chosen.jurisdiction, sample=chosen.sample, fresh=chosen.fresh, port_base=chosen.port_base)
    if chosen.command == "check":
        from tejido_local.check import check

        with test_servers():
            return check(fix=chosen.fix)
    if chosen.command == "deadlines":
        from tejido_local.deadlines import main as compare

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
        return compare(chosen.file, explain=chosen.explain)
    if chosen.command == "lock":
        return lock(upgrade=chosen.upgrade)
    from tejido_local.secrets import main as write_secrets

    return write_secrets()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./tejido", description=text("cli.description"))
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help=text("cli.up"))
    up.add_argument("--jurisdiction", metavar="NAME", help=text("cli.jurisdiction"))
    up.add_argument("--sample", action="store_true", help=text("cli.sample"))
    up.add_argument("--fresh", action="store_true", help=text("cli.fresh"))
    up.add_argument(
        "--port-base", type=int, choices=range(1024, 65401), default=8100, metavar="PORT", help=text("cli.port_base")
    )
    commands.add_parser("test", help=text("cli.test"))
    commands.add_parser("bench", help=text("cli.bench"))
    commands.add_parser("check", help=text("cli.check")).add_argument(
        "--fix", action="store_true", help=text("cli.fix")
    )
    deadlines = commands.add_parser("deadlines", help=text("cli.deadlines"))
    deadlines.add_argument("file", type=Path, metavar="FILE", help=text("cli.deadlines_file"))
    deadlines.add_argument("--explain", action="store_true", help=text("cli.explain"))
    commands.add_parser("secrets", help=text("cli.secrets"))
    commands.add_parser("lock", help=text("cli.lock")).add_argument(
        "--upgrade", action="store_true", help=text("cli.upgrade")
    )
    return parser


@contextmanager
def test_servers() -> Iterator[None]:
    """TEJIDO_TEST_POSTGRES_URL (superuser) and TEJIDO_TEST_REDIS_URL in the environment; where they are not set
    already, of servers that live as long as this block."""
    if "TEJIDO_TEST_POSTGRES_URL" in os.environ and "TEJIDO_TEST_REDIS_URL" in os.environ:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    STATE.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_servers()
    directory = STATE / f"test-{os.getpid()}"
    directory.mkdir()
    postgres = Postgres(directory / "postgres", free_port(), secrets.token_hex(16), fast=True)
    redis = Redis(directory / "redis", free_port(), secrets.token_hex(16))
    try:
        with postgres, redis:
            os.environ["TEJIDO_TEST_POSTGRES_URL"] = postgres.url()
            os.environ["TEJIDO_TEST_REDIS_URL"] = redis.url
            yield
    finally:
        postgres.remove()
        shutil.rmtree(directory, ignore_errors=True)


def _remove_abandoned_servers() -> None:
    """Those of a test run that was killed."""
    for directory in STATE.glob("test-*"):
        if not psutil.pid_exists(int(directory.name.removeprefix("test-"))):
            Postgres(directory / "postgres", 0, "").remove()
            Redis(directory / "redis", 0, "").remove()
            shutil.rmtree(directory, ignore_errors=True)


def side_by_side(arguments: list[str]) -> list[str]:
    """pytest's options to run on two processors; none where files are named, output is to be seen at once, or `-n` is given."""
    in_one = ("-s", "--capture", "--pdb", "--trace", "-n", "--numprocesses", "--collect-only", "-h", "--help")
    if any(".py" in argument or argument.startswith(in_one) for argument in arguments):
        return []
    return ["--numprocesses=2", "--no-loadscope-reorder"]


def run_to_its_end(command: list[str]) -> int:
    """Run a program in the checkout: it answers Ctrl-C, SIGTERM is passed on to it, and we wait. Returns its exit code."""
    process = subprocess.Popen(command, cwd=ROOT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def lock(*, upgrade: bool) -> int:
    """Write requirements.lock from what the members ask for: versions and hashes for every Python and platform we support,
    no addresses. Versions that are there stay, unless `upgrade`."""
    members = ("shared", "local", *(f"services/{path.name}" for path in sorted((ROOT / "services").iterdir())))
    command = [
        f"{sys.prefix}/bin/uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url"]
    for member in members:
        command += ["--no-emit-package", f"tejido-{member.rpartition('/')[2]}"]
    command += ["pyproject.toml", "--group", "pyproject.toml:dev"]
    command += [f"{member}/pyproject.toml" for member in members]
    command += ["--output-file", "requirements.lock", *(["--upgrade"] if upgrade else [])]
    return subprocess.run(command, cwd=ROOT, check=False).returncode
