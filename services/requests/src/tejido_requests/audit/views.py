"""What people are shown of a request's history, and of what retention would erase."""

from datetime import date
from typing import Any

from babel.dates import format_date

from tejido_requests.audit.retention import Due
from tejido_requests.audit.schemas import (
    AccessListed,
    AccessOut,
    AuditEntryOut,
    HistoryOut,
    RetentionDue,
    RetentionDueOut,
)
from tejido_requests.models import AccessRecord, HistoryEntry
from tejido_requests.settings import PACKAGE
from tejido_shared import i18n


def history_out(entries: list[dict[str, Any]]) -> list[HistoryOut]:
    return [
        HistoryOut(at=entry["at"], kind=entry["kind"], what=_what(entry["kind"], entry["details"])) for entry in entries
    ]


def _what(kind: str, details: dict[str, Any]) -> str:
    if kind == "calendar_changed":
        if details.get("old") == details.get("new"):
            # What moved are the days left; or nothing, and only the count is told anew.
            kind = "calendar_changed_resting" if "days_left" in details else "calendar_changed_recounted"
        language = i18n.language.get()
        days = {name: date.fromisoformat(details[name]) for name in ("old", "new") if details.get(name)}
        details = details | {name: format_date(day, "long", language) for name, day in days.items()}
    return i18n.text(PACKAGE, f"history.{kind}", **details)


def audit_entry(entry: HistoryEntry) -> AuditEntryOut:
    """One entry in full, with its link."""
    names = ("id", "at", "recorded_at", "kind", "author", "details", "calendar_version", "reason", "evidence")
    return AuditEntryOut(
        **{name: getattr(entry, name) for name in names},
        what=_what(entry.kind, entry.details),
        sequence=entry.link and entry.link.sequence,
        hash=entry.link and entry.link.hash.hex(),
    )


def access_listed(access: AccessRecord) -> AccessListed:
    told = AccessOut.model_validate(access).model_dump()
    return AccessListed(**told, request_id=None if access.what == "export" else access.request_id)


def due(found: Due) -> RetentionDueOut:
    return RetentionDueOut(
        due=found.count,
        by_type=[
            RetentionDue(request_type=code, after_months=rule.after_months, article=rule.article, due=count)
            for code, rule, count in found.by_type
        ],
        held=found.held,
        related=found.related,
        first=found.first,
    )
