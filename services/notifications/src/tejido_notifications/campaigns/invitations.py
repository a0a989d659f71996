"""A call's meeting as a file for the recipient's calendar (RFC 5545, RFC 5546)."""

from functools import lru_cache

import icalendar

from tejido_notifications.channels import Attached
from tejido_notifications.letters.kinds import Call, Meeting
from tejido_notifications.settings import jurisdiction
from tejido_shared.clock import now

CAUSE = "notifications.call"
MEDIA_TYPE = "text/calendar; charset=utf-8; method=PUBLISH"


def attached(cause_type: str, context: str) -> tuple[Attached, ...]:
    """What goes with a message: the meeting of a call that has one."""
    if cause_type != CAUSE:
        return ()
    call = Call.model_validate_json(context)
    if call.meeting is None:
        return ()
    return (Attached("convocatoria.ics", MEDIA_TYPE, calendar(str(call.campaign_id), call.meeting)),)


@lru_cache(maxsize=64)  # it takes longer to make than the letter to send
def calendar(campaign_id: str, meeting: Meeting) -> bytes:
    """One event in the municipality's own time. Every letter of a campaign names the same one, so that it is kept once."""
    entity, zone = jurisdiction().entity, jurisdiction().zone
    organizer = icalendar.vCalAddress(f"mailto:{entity.email}")
    organizer.params["cn"] = entity.name
    event = icalendar.Event()
    event.add("uid", f"{campaign_id}@tejido")
    event.add("sequence", 0)
    event.add("dtstamp", now())
    event.add("dtstart", meeting.starts_at.astimezone(zone).replace(microsecond=0))
    event.add("dtend", meeting.ends_at.astimezone(zone).replace(microsecond=0))
    event.add("summary", meeting.summary)
    event.add("location", meeting.place)
    event.add("organizer", organizer)
    event.add("status", "CONFIRMED")
    whole = icalendar.Calendar()
    whole.add("prodid", "-//Tejido//notifications//ES")
    whole.add("version", "2.0")
    whole.add("method", "PUBLISH")
    whole.add_component(event)
    whole.add_missing_timezones()
    data: bytes = whole.to_ical()
    return data
