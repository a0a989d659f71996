"""What people are shown of applications."""

from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry import service as register
from tejido_registry.documents import service as documents
from tejido_registry.models import Application, Organization
from tejido_registry.procedure import clock, queries, schemas, service
from tejido_registry.settings import jurisdiction
from tejido_shared.auth import Principal

_SUMMARY = (
    *("id", "version", "organization_id", "kind", "period", "number", "status", "submitted_at", "on_behalf"),
    *("due_on", "correction_until", "decided_at"),
)
_WHOLE = ("consented_at", "corrections", "reasons", "note")


class Listed:
    """The items of one page: what they share is read once."""

    def __init__(self, session: Session, caller: Principal) -> None:
        self._session, self._inside = session, caller.has(*queries.READERS)
        self._today = register.today()

    def all(self, applications: list[Application]) -> list[schemas.ApplicationSummary]:
        named = queries.names(self._session, {one.organization_id for one in applications})
        return [
            schemas.ApplicationSummary(**_summary(one, named[one.organization_id], self._today, inside=self._inside))
            for one in applications
        ]


def whole(
    session: Session, application: Application, organization: Organization, caller: Principal
) -> schemas.ApplicationOut:
    """One application with its defects, documents and term. Who did what for the register, officials are told."""
    inside, today = caller.has(*queries.READERS), register.today()
    review = jurisdiction().registration.policy.review
    found = service.derived(session, application)
    there = documents.standing_of(session, organization.id, today)
    asked = jurisdiction().registration.documents_for(application.kind, organization.organization_type)
    return schemas.ApplicationOut(
        **_summary(application, (organization.number, organization.name), today, inside=inside),
        **{name: getattr(application, name) for name in _WHOLE},
        submitted_by=application.submitted_by if inside else None,
        decided_by=application.decided_by if inside else None,
        defects=[
            schemas.DefectOut(
                round=one.round,
                item=one.item,
                name=service.item_name(one.item),
                reason=one.reason,
                corrected_at=one.corrected_at,
            )
            for one in queries.defects(session, application.id)
        ],
        documents=[
            schemas.AskedDocumentOut.model_validate(
                {"code": code, "name": service.item_name(f"document:{code}"), "status": there.get(code, "missing")}
            )
            for code in asked
        ],
        derivation=schemas.DerivationOut(
            term=clock.length(review),
            article=review.article,
            legal=review.kind == "legal",
            received_on=found.effective_receipt_date,
            pauses=[
                schemas.PauseOut(asked_on=asked_on, until=until)
                for asked_on, (_, until) in zip(found.asked_on, found.frozen, strict=True)
            ],
            days=clock.days(found),
            due_on=found.due_date,
        ),
    )


def _summary(application: Application, named: tuple[str, str], today: date, *, inside: bool) -> dict[str, Any]:
    running = application.status in queries.RUNNING
    number, name = named
    days_left = clock.calendar().open_between(today, application.due_on) if running else None
    return {part: getattr(application, part) for part in _SUMMARY} | {
        "organization_number": number,
        "organization_name": name,
        "days_left": days_left,
        "overdue": running and application.due_on < today,
        "reviewer": application.reviewer if inside else None,
    }
