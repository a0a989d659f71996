"""`python -m tejido_registry reencrypt`: after a rotation, so that the old key can be taken out of TEJIDO_DATA_KEY."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from tejido_registry import service
from tejido_registry.db import database
from tejido_registry.documents.service import store as documents
from tejido_registry.imports.files import store as imports
from tejido_registry.models import Base, Contact, MatchCheck, Person
from tejido_shared import i18n, seam
from tejido_shared.clock import now
from tejido_shared.files import Altered
from tejido_shared.personal import fingerprints
from tejido_shared.reencryption import BATCH, UNREADABLE, reencrypt

FILES = "files"
log = structlog.get_logger()


def add(commands: Any) -> None:
    """Adds `reencrypt` to the service's commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "reencrypt", help="encrypt with the first key of TEJIDO_DATA_KEY whatever an older one encrypted"
    )
    parser.set_defaults(run=lambda _: _run())


def reencrypt_all(batch: int = BATCH) -> Counter[str]:
    """Every row and file of the service. Returns how many were encrypted anew, by table; under `UNREADABLE`, those that no key opens."""
    counts = reencrypt(database, (*Base.metadata.sorted_tables, *seam.metadata.sorted_tables), _hash_anew, batch)
    soon = now() + timedelta(days=1)
    for store in (documents, imports):
        for key in store.keys(soon):
            try:
                counts[FILES] += store.renew(key)
            except FileNotFoundError:
                continue  # deleted meanwhile
            except Altered:
                counts[UNREADABLE] += 1
                log.error("unreadable_file", key=str(key))  # noqa: TRY400
    return counts


def _hash_anew(session: Session, table: sa.Table, keys: Sequence[Any]) -> None:
    """What was hashed with the old key: the marks of persons, and those by which duplicates are found, which a task writes again."""
    if table is Person.__table__:
        for person in session.scalars(sa.select(Person).where(Person.id.in_(keys), Person.document_mark.is_not(None))):
            person.document_mark = fingerprints(f"{person.document_kind} {person.document}")[0]
    elif table is Contact.__table__:
        touched = sa.select(Contact.organization_id).where(Contact.id.in_(keys))
        session.execute(sa.delete(MatchCheck).where(MatchCheck.organization_id.in_(touched)))


def _run() -> int:
    try:
        counts = reencrypt_all()
    finally:
        database.close()
    for name, count in sorted(counts.items()):
        if count:
            print(name, count, sep="\t")
    unreadable = counts[UNREADABLE]
    code = "rotation.unreadable" if unreadable else "rotation.done"
    print(i18n.text(service.PACKAGE, code, count=unreadable), file=sys.stderr)
    return 1 if unreadable else 0
