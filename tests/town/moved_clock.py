"""`python moved_clock.py FILE -m MODULE …`: runs a module whose clock is ahead by as many seconds as FILE says, at every moment anew.

For towns of real processes: a month passes in minutes, in every process and its forks at once.
"""

import mmap
import runpy
import struct
import sys
from datetime import datetime, timedelta
from pathlib import Path


class Ahead:
    """Added to an instant, it moves it by what the file says now."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 8)

    def __radd__(self, instant: datetime) -> datetime:
        return instant + timedelta(seconds=struct.unpack("d", self._seconds[:8])[0])


def set_ahead(path: Path, seconds: float) -> None:
    """Moves the clocks of all processes that run on this file."""
    if not path.exists():
        path.write_bytes(struct.pack("d", 0))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 8) as seen:
        seen[:8] = struct.pack("d", seconds)


if __name__ == "__main__":
    from tejido_shared import clock

    clock._offset = Ahead(Path(sys.argv[1]))  # type: ignore[assignment]
    module, sys.argv = sys.argv[3], sys.argv[3:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
