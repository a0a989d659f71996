"""The seam: which handler receives what. What this service publishes is emitted in `service.py`."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_requests.audit import service as audit
from tejido_requests.desk import extensions, service
from tejido_requests.models import KnownOrganization, KnownProject, ServiceRequest
from tejido_shared.clock import now
from tejido_shared.contracts import (
    Envelope,
    Event,
    MessageDelivered,
    MessageFailed,
    OrganizationChanged,
    ProjectPresented,
    ProjectStageChanged,
    ProofSeen,
    RequestAnswered,
    RequestCompletionAsked,
    RequestDueDateMoved,
    RequestExtensionAnnounced,
    RequestSubmitted,
    RequestTransferred,
    RequestWithdrawn,
)
from tejido_shared.inbox import Handler
from tejido_shared.personal import unseal


def _remember_organization(session: Session, event: OrganizationChanged, envelope: Envelope) -> None:
    row = insert(KnownOrganization).values(
        id=event.organization_id,
        version=envelope.subject_version,
        number=event.number,
        name=event.name,
        merged_into=event.merged_into,
    )
    newer = {name: row.excluded[name] for name in ("version", "number", "name", "merged_into")}
    session.execute(
        row.on_conflict_do_update(
            index_elements=["id"], set_=newer, where=row.excluded.version > KnownOrganization.version
        )
    )


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
    request = _about(session, event)
    if request is None:
        return
    if event.cause_type == RequestSubmitted.type:
        service.acknowledge(session, request, min(event.delivered_at, now()))
    elif event.cause_type == RequestAnswered.type:
        service.answer_delivered(session, request, event.cause_id, event.delivered_at, event.evidence)
    elif event.cause_type == RequestExtensionAnnounced.type:
        extensions.extension_told(session, request, event.cause_id, event.delivered_at, event.evidence)


def _on_proof_seen(session: Session, event: ProofSeen, _: Envelope) -> None:
    """Whoever sees to whom a notice went sees who asks."""
    if _about(session, event) is not None:
        audit.record_access(session, [event.about], event.by, "identity", unseal(event.reason))


def _on_failed(session: Session, event: MessageFailed, _: Envelope) -> None:
    request = _about(session, event)
    if request is None:
        return
    if event.cause_type == RequestExtensionAnnounced.type and request.status != "merged":
        extensions.extension_not_told(session, request, event.cause_id, event.failed_at)
    elif event.cause_type != RequestSubmitted.type:
        service.record_failed_message(session, request, event.cause_type, event.failed_at, event.reason)


_TOLD = {
    *(RequestSubmitted.type, RequestAnswered.type, RequestExtensionAnnounced.type, RequestCompletionAsked.type),
    *(RequestDueDateMoved.type, RequestTransferred.type, RequestWithdrawn.type),
}
"""What citizens are told of by mail. Reminders to the house are not waited for."""


def _about(session: Session, event: MessageDelivered | MessageFailed | ProofSeen) -> ServiceRequest | None:
    """The request the message told of; none if it told of something that is not ours to wait for, or the request's data was erased:
    a mail server's reply names people.
    """
    if event.cause_type not in _TOLD:
        return None
    kept = (ServiceRequest.id == event.about) & ServiceRequest.tombstoned_at.is_(None)
    return session.scalar(sa.select(ServiceRequest).where(kept).with_for_update())


HANDLERS: dict[type[Event], Handler] = {
    OrganizationChanged: _remember_organization,
    ProjectPresented: _remember_project,
    ProjectStageChanged: _remember_project,
    MessageDelivered: _on_delivered,
    MessageFailed: _on_failed,
    ProofSeen: _on_proof_seen,
}
