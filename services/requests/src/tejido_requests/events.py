"""The seam: which handler receives what. What this service publishes is emitted in `service.py`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests import service
from tejido_requests.models import KnownProject, ServiceRequest
from tejido_shared.clock import now
from tejido_shared.contracts import (
    Envelope,
    Event,
    MessageDelivered,
    MessageFailed,
    ProjectPresented,
    ProjectStageChanged,
    RequestAnswered,
)
from tejido_shared.inbox import Handler


def _remember_project(session: Session, event: ProjectPresented | ProjectStageChanged, envelope: Envelope) -> None:
    stage = event.stage if isinstance(event, ProjectPresented) else event.to_stage
    row = insert(KnownProject).values(
        id=event.project_id, version=envelope.subject_version, number=event.number, title=event.title, stage=stage
    )
    newer = {name: row.excluded[name] for name in ("version", "number", "title", "stage")}
    session.execute(
        row.on_conflict_do_update(index_elements=["id"], set_=newer, where=row.excluded.version > KnownProject.version)
    )


def _on_delivered(session: Session, event: MessageDelivered, _: Envelope) -> None:
    request = _answered(session, event)
    if request is not None and request.status == "answered":
        # Between the answer and now, whatever the other machine's clock says: a proof must not be lost over seconds.
        at = min(max(event.delivered_at, request.answered_at or event.delivered_at), now())
        service.record_notification(session, request, at, event.evidence, None)


def _on_failed(session: Session, event: MessageFailed, _: Envelope) -> None:
    request = _answered(session, event)
    if request is not None:
        service.record_failed_notification(session, request, event.failed_at, event.reason)


def _answered(session: Session, event: MessageDelivered | MessageFailed) -> ServiceRequest | None:
    """The request whose answer the message carried; none if it told of something else."""
    if event.cause_type != RequestAnswered.type:
        return None
    return session.scalar(sa.select(ServiceRequest).where(ServiceRequest.id == event.about).with_for_update())


HANDLERS: dict[type[Event], Handler] = {
    ProjectPresented: _remember_project,
    ProjectStageChanged: _remember_project,
    MessageDelivered: _on_delivered,
    MessageFailed: _on_failed,
}
