"""Passwords and keys, made once and kept in a file of lines `NAME=value` that only its owner reads.

Compose reads `.env`, which `./tejido secrets` writes; `./tejido up` keeps its own in `.tejido/secrets.env`. Standard
library only: the secrets of a deployment are written before anything is installed.
"""

import base64
import os
import secrets
from pathlib import Path

from tejido_local import identity
from tejido_local.paths import ROOT, SERVICES
from tejido_local.texts import say

DATABASE_PASSWORDS = {name: f"{name.upper()}_DB_PASSWORD" for name in (*SERVICES, "identity")}


def new() -> dict[str, str]:
    """Fresh random values for every name; those of passwords need no quoting in a URL."""
    passwords = ("POSTGRES_PASSWORD", *DATABASE_PASSWORDS.values(), "REDIS_PASSWORD")
    return {
        **{name: secrets.token_hex(24) for name in passwords},
        "TEJIDO_DATA_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),  # a Fernet key
        "NOTIFICATIONS_PROOF_KEY": base64.b64encode(os.urandom(32)).decode(),  # Ed25519
        **identity.new_secrets(),
    }


def read(path: Path) -> dict[str, str]:
    """What the file holds; nothing when there is none. An empty value counts as missing."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs if value.strip()}


def complete(path: Path) -> list[str]:
    """Add the secrets that the file lacks, and close it to others. A value that is there is never changed.

    Returns the names that were added.
    """
    missing = {name: value for name, value in new().items() if name not in read(path)}
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        before = file.read()
        file.write("\n" if before and not before.endswith("\n") else "")
        file.writelines(f"{name}={value}\n" for name, value in missing.items())
    return list(missing)


def main() -> int:
    """`./tejido secrets`: write `.env` for Compose, or add what an older one lacks."""
    path = ROOT / ".env"
    existed = path.exists()
    added = complete(path)
    if not existed:
        say("secrets.written", path=path)
    elif added:
        say("secrets.added", path=path, names=", ".join(added))
    else:
        say("secrets.complete", path=path)
    return 0
