"""`./tejido check`: everything that must hold before a change is taken, each reported."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from cryptography.fernet import Fernet
from psycopg import sql

from tejido_local.paths import ROOT, SERVICES
from tejido_local.texts import say, text

PACKAGES = ("tejido_shared", *(f"tejido_{name}" for name in SERVICES), "tejido_local")


@dataclass(frozen=True)
class Result:
    """Of one check. `output` is shown when it failed."""

    passed: bool
    output: str = ""


def check(*, fix: bool) -> int:
    """Run every check, several at once, and report them in order; returns 1 if one failed.

    `fix` first formats, and rewrites what is generated. Needs TEJIDO_TEST_POSTGRES_URL and TEJIDO_TEST_REDIS_URL.
    """
    if fix:
        _run([f"{sys.prefix}/bin/ruff", "check", "--fix", "--quiet"])
        _run([f"{sys.prefix}/bin/ruff", "format", "--quiet"])
    checks: dict[str, Callable[[], Result]] = {
        "ruff check": partial(_run, [f"{sys.prefix}/bin/ruff", "check"]),
        "ruff format": partial(_run, [f"{sys.prefix}/bin/ruff", "format", "--check"]),
        "lint-imports": partial(_run, [f"{sys.prefix}/bin/lint-imports"]),
        **{f"migrations {service}": partial(_migrations, service) for service in SERVICES},
        **{f"openapi {service}": partial(_openapi, service, fix=fix) for service in SERVICES},
        "docs/events.md": partial(_generated, ROOT / "docs" / "events.md", ["tejido_shared.contracts"], {}, fix=fix),
        **{f"mypy {package}": partial(_run, [f"{sys.prefix}/bin/mypy", "-p", package]) for package in PACKAGES},
    }
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (result, seconds) in zip(checks, pool.map(_timed, checks.values()), strict=True):
            say("check.passed" if result.passed else "check.failed", name=name, seconds=seconds, output=result.output)
            if not result.passed:
                failed.append(name)
    if failed:
        say("check.some_failed", names=", ".join(failed))
    else:
        say("check.all_passed", count=len(checks))
    return 1 if failed else 0


def _timed(one: Callable[[], Result]) -> tuple[Result, float]:
    begun = time.monotonic()
    return one(), time.monotonic() - begun


def _run(command: list[str], environment: dict[str, str] | None = None) -> Result:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Result(done.returncode == 0, done.stdout.rstrip())


def _environment(service: str, database: str = "postgres") -> dict[str, str]:
    url = os.environ["TEJIDO_TEST_POSTGRES_URL"]
    return {
        f"{service.upper()}_DATABASE_URL": f"postgresql+psycopg{url[url.index(':') : url.rindex('/')]}/{database}",
        "TEJIDO_BROKER_URL": os.environ["TEJIDO_TEST_REDIS_URL"],
        "TEJIDO_JURISDICTION": str(ROOT / "jurisdictions" / "co-bogota"),
        "TEJIDO_DATA_KEY": Fernet.generate_key().decode(),
        "NOTIFICATIONS_SMTP_HOST": "127.0.0.1",
        "NOTIFICATIONS_SMTP_PORT": "25",
    }


def _migrations(service: str) -> Result:
    """Whether the migrations, run on an empty database, make what the models describe."""
    database = f"check_{service}_{secrets.token_hex(4)}"
    name = sql.Identifier(database)
    with psycopg.connect(os.environ["TEJIDO_TEST_POSTGRES_URL"], autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            command = [sys.executable, "-P", "-m", f"tejido_{service}", "migrate"]
            environment = _environment(service, database)
            made = _run(command, environment)
            return _run([*command, "--check"], environment) if made.passed else made
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _openapi(service: str, *, fix: bool) -> Result:
    path = ROOT / "services" / service / "openapi.json"
    return _generated(path, [f"tejido_{service}", "openapi"], _environment(service), fix=fix)


def _generated(path: Path, module: list[str], environment: dict[str, str], *, fix: bool) -> Result:
    """Whether the file is what `python -m MODULE` prints; with `fix` it becomes so."""
    command = [sys.executable, "-P", "-m", *module]
    made = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if made.returncode:
        return Result(passed=False, output=made.stderr.rstrip())
    if path.exists() and path.read_text("utf-8") == made.stdout:
        return Result(passed=True)
    if fix:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made.stdout, "utf-8")
        return Result(passed=True, output=text("check.written", path=path))
    return Result(passed=False, output=text("check.differs", path=path, command=f"python -m {' '.join(module)}"))
