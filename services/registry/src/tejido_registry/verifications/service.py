"""Recording that somebody looked whether the data of an organization are true. That a row changed says nothing of it."""

from datetime import date

from sqlalchemy.orm import Session

from tejido_registry import axes, service
from tejido_registry.models import Organization, Survey, Verification
from tejido_registry.renewal import service as renewal
from tejido_registry.settings import jurisdiction
from tejido_registry.standing.service import dated, today
from tejido_registry.surveys import service as surveys
from tejido_registry.verifications.schemas import FreshnessOut, GroupOut, VerificationIn
from tejido_shared.clock import now
from tejido_shared.refusals import Refused

EARLIEST = date(2000, 1, 1)


def verify(session: Session, organization: Organization, body: VerificationIn, author: str) -> Verification:
    """Keeps what was found; the organization must be locked. Raises `Refused` for a day to come, or a survey it is not part of."""
    on = body.verified_on or today()
    if not EARLIEST <= on <= today():
        raise Refused("verified_on", "verified_on")
    if body.survey_id is not None:
        survey = session.get(Survey, body.survey_id, with_for_update={"read": True})
        surveys.refuse_foreign(survey, organization, body.method, on)
    verification = Verification(
        organization_id=organization.id,
        fields=sorted(set(body.fields), key=axes.GROUPS.index),
        method=body.method,
        verified_on=on,
        result=body.result,
        survey_id=body.survey_id,
        note=body.note,
        recorded_by=author,
        recorded_at=now(),
    )
    session.add(verification)
    service.record(session, organization, "verified", author, result=body.result, method=body.method)
    renewal.refresh(session, organization)
    return verification


def freshness(session: Session, organization: Organization) -> FreshnessOut:
    """How fresh its data are today, as a whole and by group."""
    policy, day = jurisdiction().registration.policy, today()
    latest = axes.confirmed(dated(session, [organization])[organization.id].confirmations, day)
    whole = axes.verified_on(latest)
    return FreshnessOut(
        freshness=axes.freshness(whole, day, policy),
        verified_on=whole,
        groups=[
            GroupOut(
                group=group,
                verified_on=latest.get(group),
                freshness=axes.freshness(latest.get(group), day, policy),
            )
            for group in axes.GROUPS
        ],
    )
