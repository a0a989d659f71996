"""How a campaign is shown."""

from typing import Any

from sqlalchemy.orm import Session

from tejido_notifications.campaigns import queries, schemas, service
from tejido_notifications.campaigns.invitations import CAUSE
from tejido_notifications.letters import sources, writing
from tejido_notifications.letters.sources import Form
from tejido_notifications.models import Campaign
from tejido_notifications.settings import settings
from tejido_shared.refusals import Refused

SAMPLE = 5


def campaign_out(session: Session, campaign: Campaign) -> schemas.CampaignOut:
    summary = schemas.CampaignSummary.model_validate(campaign).model_dump()
    became = queries.became(session, campaign.id)
    return schemas.CampaignOut(
        **summary,
        subject=campaign.subject,
        text=campaign.text,
        segment=schemas.segment_of(campaign.segment),
        meeting=campaign.date,
        office_hours=campaign.office_hours,
        progress=schemas.Progress(
            total=campaign.total,
            queued=campaign.queued,
            left_out=campaign.left_out,
            waiting=became.get("pending", 0) + became.get("sending", 0),
            delivered=became.get("delivered", 0),
            failed=became.get("failed", 0) + became.get("bounced", 0),
            cancelled=became.get("cancelled", 0),
        ),
    )


def dry_run(session: Session, campaign: Campaign) -> schemas.DryRunOut:
    """What would be sent now. Raises `Refused` if it could not be started, or the letter cannot be written."""
    service.expect_in_time(campaign)
    segment, channels = schemas.segment_of(campaign.segment), settings().channels
    reach = queries.reach(session, segment, channels)
    query = queries.candidates(segment, channels)
    some = query.where(query.selected_columns.why.is_(None)).order_by(query.selected_columns.id).limit(SAMPLE)
    return schemas.DryRunOut(
        total=sum(reach.values()),
        messages=reach.get(None, 0),
        left_out={why: organizations for why, organizations in reach.items() if why is not None},
        sample=[_letter(session, campaign, row) for row in session.execute(some)],
    )


def _letter(session: Session, campaign: Campaign, row: Any) -> schemas.Sample:
    language, context = service.language_of(row), service.call(campaign, row).model_dump_json()
    form: Form = "mail" if row.channel in ("email", "in_app") else "short"
    try:
        letter = writing.write(sources.saved(session), CAUSE, service.TEMPLATE, language, context, form=form)
    except writing.Unsendable as error:
        raise Refused("call_unwritable", detail=error.params.get("detail", "")) from None
    return schemas.Sample(
        organization_id=row.id,
        channel=row.channel,
        language=letter.language,
        subject=letter.subject,
        text=letter.body,
    )
