"""When the script `tejido` makes its environment, and when it leaves it alone. What it installs is not fetched here."""

import shutil
import subprocess
import sys
from pathlib import Path

from tejido_local.paths import ROOT

PREPARES = """
import importlib.machinery, importlib.util, json, sys, time
from pathlib import Path
loader = importlib.machinery.SourceFileLoader("script", sys.argv[1])
script = importlib.util.module_from_spec(importlib.util.spec_from_loader("script", loader))
loader.exec_module(script)
script.STATE = Path(sys.argv[2])
script.VENV = script.STATE / "venv"
script.PYTHON = script.VENV / "bin" / "python"
script.READY, script.UNFINISHED = script.VENV / "ready", script.STATE / "unfinished"
script.LOCK = script.STATE.parent / "requirements.lock"

def make():
    with (script.STATE.parent / "made").open("a") as made:
        made.write("made ")
    time.sleep(0.5)
    script.PYTHON.parent.mkdir(parents=True, exist_ok=True)
    if not script.PYTHON.exists():
        script.PYTHON.symlink_to(sys.executable)
    script.READY.write_text(json.dumps(script.wanted()))

script.make = make
script.prepare()
"""


def prepare(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-B", "-c", PREPARES, ROOT / "tejido", directory / "state"])


def test_made_once_by_two_at_once_and_again_only_when_something_changed(tmp_path: Path) -> None:
    lock, made = tmp_path / "requirements.lock", tmp_path / "made"

    def times_made(runs: int) -> int:
        made.write_text("")
        assert [run.wait() for run in [prepare(tmp_path) for _ in range(runs)]] == [0] * runs
        return made.read_text().count("made")

    lock.write_text("one==1\n")
    assert times_made(2) == 1
    assert times_made(1) == 0
    lock.write_text("one==2\n")
    assert times_made(1) == 1
    (tmp_path / "state" / "unfinished").touch()
    assert times_made(1) == 1


def test_secrets_need_no_environment(tmp_path: Path) -> None:
    """The script and what it needs, without requirements.lock or network, on a bare Python."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "local" / "src" / "tejido_local", checkout / "local" / "src" / "tejido_local")
    shutil.copy(ROOT / "tejido", checkout)
    bare = [sys.executable, "-I", "-S", "-B"]
    done = subprocess.run([*bare, checkout / "tejido", "secrets"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert not (checkout / ".tejido").exists()
