"""Recording what happened."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.models import AccessRecord, HistoryEntry, ServiceRequest
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import seal

HISTORY: Any = sa.inspect(HistoryEntry).local_table
ACCESS: Any = sa.inspect(AccessRecord).local_table
_WRITE = sa.insert(HISTORY).values(
    {
        name: sa.bindparam(name)
        for name in ("id", "request_id", "kind", "at", "author", "details", "calendar_version", "digest")
    }
    | {name: sa.bindparam(name, type_=sa.LargeBinary()) for name in ("reason", "evidence")}
)


def entry(
    request: ServiceRequest | sa.Row[Any],
    kind: str,
    at: datetime,
    author: str | None,
    details: dict[str, Any] | None = None,
    *,
    calendar_version: int | None = None,
    reason: str | None = None,
    evidence: str | None = None,
) -> dict[str, Any]:
    """One row of history. `details` go to whoever reads the history: no personal data in them."""
    # Encrypted here and not by the column, so that the digest covers what lies in the table.
    sealed = {"reason": _sealed(reason), "evidence": _sealed(evidence)}
    return {
        "id": new_id(),
        "request_id": request.id,
        "kind": kind,
        "at": at,
        "author": author,
        "details": details or {},
        "calendar_version": calendar_version,
        **sealed,
        "digest": digest(sealed["reason"], sealed["evidence"]),
    }


def _sealed(text: str | None) -> bytes | None:
    return seal(text).encode() if text else None


def digest(reason: bytes | None, evidence: bytes | None) -> bytes | None:
    """What the chain remembers of the encrypted columns; none if there is nothing in them."""
    if reason is None and evidence is None:
        return None
    return hashlib.sha256(
        b"".join(len(part or b"").to_bytes(8) + (part or b"") for part in (reason, evidence))
    ).digest()


def record_all(session: Session, entries: list[dict[str, Any]]) -> None:
    """Writes rows of history with one statement."""
    if entries:
        session.execute(_WRITE, entries)


def record(
    session: Session,
    request: ServiceRequest,
    kind: str,
    at: datetime,
    author: str | None,
    details: dict[str, Any] | None = None,
    **more: Any,
) -> None:
    """Writes one row of history: see `entry`."""
    record_all(session, [entry(request, kind, at, author, details, **more)])


_SAW = sa.insert(ACCESS).values({"reason": sa.bindparam("reason", type_=sa.LargeBinary())})


def record_access(
    session: Session, request_ids: Iterable[UUID], subject: str, what: str, reason: str | None = None
) -> None:
    """Writes who is about to see what is confidential of these requests, in the transaction that shows it.

    `what`: identity, history, attachment, export, receipt.
    """
    rows = []
    for request_id in request_ids:
        sealed = _sealed(reason)
        rows.append(
            {"id": new_id(), "request_id": request_id, "at": now(), "subject": subject, "what": what}
            | {"reason": sealed, "digest": digest(sealed, None)}
        )
    if rows:
        session.execute(_SAW, rows)
