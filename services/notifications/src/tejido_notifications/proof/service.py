"""Sealing what can be shown of a legal notice, and finding out whether it still is what was sealed."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_notifications.letters.writing import Letter
from tejido_notifications.models import Delivery, Proof
from tejido_notifications.proof import queries
from tejido_notifications.proof.keys import Key, parsed
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.clock import now
from tejido_shared.ids import new_id
from tejido_shared.personal import unseal

FORMAT = "tejido-proof-1"


def keys() -> tuple[Key, ...]:
    """The first signs, all verify."""
    return parsed(settings().proof_key.get_secret_value())


def seal(session: Session, delivery: Delivery, result: str, sent: Letter | None = None) -> None:
    """Keeps what can be shown of a legal notice that was `delivered`, `failed` or `bounced`: to whom, what, when, every answer.

    `sent`: the letter as the last attempt offered it. Without one, that of the proof before; if there is none either, the proof says
    that nothing is known to have been sent. Call it once what came of the last attempt is on the rows.
    """
    signing = next(iter(keys()), None)
    record = canonical(_record(session, delivery, result, sent))
    row = insert(Proof).values(
        id=new_id(),
        delivery_id=delivery.id,
        result=result,
        at=now(),
        record=record,
        sha256=sha256(record),
        signature=base64.b64encode(signing.private.sign(record.encode())).decode() if signing else "",
        key_id=signing.id if signing else "",
    )
    session.execute(row.on_conflict_do_nothing())


def canonical(record: Mapping[str, Any]) -> str:
    """JSON in one way only: keys sorted, no spaces, nothing escaped that need not be."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _record(session: Session, delivery: Delivery, result: str, sent: Letter | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "entity": jurisdiction().entity.name,
        "jurisdiction": jurisdiction().code,
        "result": result,
        "message_id": str(delivery.id),
        "cause": {"id": str(delivery.cause_id), "type": delivery.cause_type},
        "about": str(delivery.about),
        "kind": delivery.template,
        "audience": delivery.audience,
        "channel": delivery.channel,
        "language": delivery.language,
        "template_version": delivery.template_version,
        "to": _address(delivery),
        "sent": _sent(sent) if sent is not None else _sent_before(session, delivery),
        "occurred_at": _instant(delivery.occurred_at),
        "queued_at": _instant(delivery.created_at),
        "delivered_at": _instant(delivery.delivered_at),
        "bounced_at": _instant(delivery.bounced_at),
        "sealed_at": _instant(now()),
        "attempts": [
            {"at": _instant(one.at), "outcome": one.outcome, "code": one.code, "reply": one.reply}
            for one in queries.attempts(session, delivery.id)
        ],
        "answer": delivery.evidence,
        "failure": delivery.last_error if result != "delivered" else None,
        "instead_of": str(delivery.fallback_of) if delivery.fallback_of else None,
    }


def _sent(letter: Letter) -> dict[str, str]:
    html = {"html_sha256": sha256(letter.html)} if letter.html else {}
    return {"subject": letter.subject, "text": letter.body, "sha256": sha256(letter.body), **html}


def _sent_before(session: Session, delivery: Delivery) -> dict[str, str] | None:
    try:
        before = queries.newest(session, delivery.id)
    except ValueError:  # not with the keys we have
        return None
    if before is None or not before.record:
        return None
    found: dict[str, str] | None = json.loads(before.record)["sent"]
    return found


def _address(delivery: Delivery) -> str | None:
    try:
        return delivery.recipient
    except ValueError:  # not with the keys we have: then it failed for that, and the proof says so
        return None


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


# Whether it still is what was sealed


@dataclass(frozen=True)
class Finding:
    """`kind`: undecryptable, altered, emptied, signature, unknown_key, misplaced, missing. `proof_id`: none where there is no proof."""

    kind: str
    delivery_id: UUID
    proof_id: UUID | None = None


@dataclass
class Report:
    """What `verify` saw."""

    proofs: int = 0
    unsigned: int = 0
    erased: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(one.kind for one in self.findings))


def verify(session: Session) -> Report:
    """Recomputes every hash and signature, and names legal notices without a proof. The caller's session reads one snapshot."""
    report = Report()
    known = {key.id: key for key in keys()}
    for row in queries.every(session):
        report.proofs += 1
        report.unsigned += not row.signature
        kind = _flaw(row, known)
        report.erased += kind == _ERASED
        if kind == _ERASED:
            kind = None if row.erased_at is not None else "emptied"
        if kind is not None:
            report.findings.append(Finding(kind, row.delivery_id, row.id))
    report.findings += [Finding("missing", delivery_id) for delivery_id in queries.without(session)]
    return report


_ERASED = "erased"


def _flaw(row: sa.Row[Any], known: Mapping[str, Key]) -> str | None:
    """What is wrong with one proof. Of one that was emptied nothing more can be said."""
    try:
        record = unseal(bytes(row.sealed).decode()) if row.sealed is not None else ""
    except ValueError:
        return "undecryptable"
    if not record:
        return _ERASED
    if sha256(record) != row.sha256:
        return "altered"
    if row.signature:
        if row.key_id not in known:
            return "unknown_key"
        if not signed(record, row.signature, known[row.key_id]):
            return "signature"
    said = json.loads(record)
    return None if (said["message_id"], said["result"]) == (str(row.delivery_id), row.result) else "misplaced"


def signed(record: str, signature: str, key: Key) -> bool:
    """Whether it is the key's signature of the record."""
    try:
        key.public.verify(base64.b64decode(signature, validate=True), record.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
