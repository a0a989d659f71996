"""The secrets of a deployment: written once, closed to others, made without anything installed."""

import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

from tejido_local import identity, secrets
from tejido_local.paths import ROOT


def test_written_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    names = secrets.complete(path)
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert {"POSTGRES_PASSWORD", "REQUESTS_DB_PASSWORD", "IDENTITY_DB_PASSWORD", *identity.SECRETS} <= set(names)
    assert secrets.complete(path) == []
    assert path.read_text() == first
    assert len(set(secrets.read(path).values())) == len(names)


def test_an_existing_file_keeps_its_values_and_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# ours\nPOSTGRES_PASSWORD='mía'\nTEJIDO_DOMAIN=tejido.example\nREDIS_PASSWORD=")
    path.chmod(0o644)
    added = secrets.complete(path)
    values = secrets.read(path)
    assert values["POSTGRES_PASSWORD"] == "mía"
    assert values["TEJIDO_DOMAIN"] == "tejido.example"
    assert values["REDIS_PASSWORD"]
    assert "REDIS_PASSWORD" in added
    assert "POSTGRES_PASSWORD" not in added
    assert path.read_text().startswith("# ours\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_data_key_encrypts() -> None:
    box = Fernet(secrets.new()["TEJIDO_DATA_KEY"])
    assert box.decrypt(box.encrypt(b"x")) == b"x"


def test_needs_nothing_installed(tmp_path: Path) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(ROOT / "local" / "src")!r})
from pathlib import Path
from tejido_local import secrets
secrets.complete(Path({str(tmp_path / ".env")!r}))
"""
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    assert (tmp_path / ".env").exists()
