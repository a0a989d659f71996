"""How a proof is shown: as it was signed, and as a document a person can read."""

import json
from datetime import datetime
from typing import Any, ClassVar

from babel.dates import format_date, format_time

from tejido_notifications.models import Proof
from tejido_notifications.proof import schemas, service
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared import i18n, typesetting
from tejido_shared.refusals import Refused
from tejido_shared.typesetting import Block

PACKAGE = "tejido_notifications"


class Words(typesetting.Words):
    """Texts `proof.…` of this service."""

    package: ClassVar[str] = PACKAGE
    prefix: ClassVar[str] = "proof"


def proof_out(proof: Proof) -> schemas.ProofOut:
    status = ("signed" if proof.signature else "unsigned") if proof.record else "erased"
    return schemas.ProofOut.model_validate(
        {
            "message_id": proof.delivery_id,
            "status": status,
            "record": proof.record or None,
            **{name: getattr(proof, name) for name in ("result", "at", "sha256", "signature", "key_id")},
        }
    )


def keys_out() -> schemas.ProofKeysOut:
    return schemas.ProofKeysOut(
        keys=[
            schemas.ProofKeyOut(key_id=key.id, pem=key.pem, signs=place == 0)
            for place, key in enumerate(service.keys())
        ]
    )


def document(proof: Proof) -> bytes:
    """The proof as PDF/A. Raises `Refused` once its record was erased."""
    if not proof.record:
        raise Refused("proof_erased")
    record: dict[str, Any] = json.loads(proof.record)
    sent: dict[str, str] | None = record["sent"]
    facts = {
        "to": record["to"] or _say("unreadable"),
        "subject": sent["subject"] if sent else _say("nothing_sent"),
        "channel": i18n.text(PACKAGE, f"channel.{record['channel']}")
        if i18n.knows(PACKAGE, f"channel.{record['channel']}")
        else record["channel"],
        "occurred_at": _instant(record["occurred_at"]),
        "queued_at": _instant(record["queued_at"]),
        "delivered_at": _instant(record["delivered_at"]),
        "bounced_at": _instant(record["bounced_at"]),
        "answer": record["answer"],
        "failure": record["failure"],
        "message_id": record["message_id"],
        "cause": f"{record['cause']['type']} · {record['cause']['id']}",
        "about": record["about"],
        "instead_of": record["instead_of"],
        "text_version": record["template_version"],
    }
    attempts = [
        [
            _instant(one["at"]) or "",
            i18n.text(PACKAGE, f"outcome.{one['outcome']}"),
            " · ".join(part for part in (one["code"], one["reply"]) if part),
        ]
        for one in record["attempts"]
    ]
    seal = {
        "sha256": proof.sha256,
        "signature": proof.signature or _say("unsigned"),
        "key": proof.key_id or "-",
        "sealed_at": _instant(record["sealed_at"]),
    }
    url = settings().common.public_url.rstrip("/")
    steps = [_say(f"verify.{step}", url=url, message_id=str(record["message_id"])) for step in (1, 2, 3)]
    blocks: list[Block] = [
        {"kind": "boxed", "rows": _rows(facts)},
        _heading("attempts"),
        {
            "kind": "log",
            "columns": [_say(f"attempts.{name}") for name in ("at", "outcome", "reply")],
            "rows": attempts,
        },
        _heading("text"),
        {"kind": "quoted", "text": sent["text"] if sent else _say("nothing_sent_why")},
    ]
    if sent:
        blocks.append({"kind": "small", "text": _say("text_sha256", sha256=sent["sha256"])})
    blocks += [
        _heading("seal"),
        {"kind": "fields", "rows": _rows(seal)},
        _heading("verify"),
        {"kind": "numbered", "items": steps},
    ]
    pack = jurisdiction()
    return typesetting.pdf(
        Words("en" if i18n.language.get() == "en" else "es", pack.country),
        pack.entity,
        title=_say(f"title.{record['result']}"),
        subtitle=_say(f"subtitle.{record['result']}"),
        footer=f"{pack.entity.short_name} · {record['message_id']}",
        blocks=blocks,
        at=proof.at,
    )


def _heading(code: str) -> Block:
    return {"kind": "heading", "text": _say(code)}


def _rows(values: dict[str, str | None]) -> list[list[str]]:
    return [[_say(f"field.{name}"), value] for name, value in values.items() if value]


def _say(code: str, **params: str) -> str:
    return i18n.text(PACKAGE, f"proof.{code}", **params)


def _instant(text: str | None) -> str | None:
    """Local, to the second, with its offset: one instant and no other."""
    if text is None:
        return None
    local = datetime.fromisoformat(text).astimezone(jurisdiction().zone)
    language = i18n.language.get()
    offset = format_time(local, "xxx", tzinfo=jurisdiction().zone, locale=language).replace("-", "−")
    return f"{format_date(local, 'long', language)}, {local:%H:%M:%S} (UTC{offset})"
