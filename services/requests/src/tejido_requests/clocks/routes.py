"""What if: a deadline worked out for whoever asks, without a request."""

import re
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from tejido_requests.calendars import queries as calendars
from tejido_requests.calendars.service import in_force
from tejido_requests.clocks import schemas, words
from tejido_requests.db import read, tx
from tejido_requests.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.auth import Anybody
from tejido_shared.clock import now
from tejido_shared.deadlines import Calendar, Deadline, OutOfCalendar
from tejido_shared.deadlines.cases import Cases, Misshapen
from tejido_shared.jurisdiction import ProcedureTerm
from tejido_shared.refusals import Refused

router = APIRouter(prefix="/v1")
ASKED, IN_FORCE, INLINE = "asked", "in_force", "inline"
MOST_DAYS, MOST_CHANGES = 3660, 10
"""What a stranger may ask at once: days told one by one, and changes of the calendar, each of which counts a century of days anew."""


@router.post("/deadlines/preview", tags=["deadlines"], summary="When would an answer be due, and why")
def preview(body: schemas.PreviewIn, _: Anybody) -> schemas.PreviewOut:
    """The very computation that dates requests, for staff and outsiders. Nothing is stored."""
    if (body.request_type is None) == (body.term is None):
        raise Refused("type_or_term", "request_type")
    if sum(event.kind in ("holiday_added", "holiday_removed") for event in body.events) > MOST_CHANGES:
        raise _too_long("events")
    pack = jurisdiction()
    zone = body.timezone or pack.time_zone
    given = body.model_dump(mode="json", exclude_none=True)
    case = {name: given[name] for name in ("received_at", "events", "query_at", "extra_closures")}
    case |= {"timezone": zone, "rule": body.request_type or ASKED, "calendar": INLINE if body.calendar else IN_FORCE}
    terms = {code: term.model_dump() for code, term in body.terms.items()}
    kinds = dict.fromkeys(terms, "service_commitment")
    if body.term is not None:
        terms[ASKED] = body.term.model_dump()
        kinds[ASKED] = "service_commitment"
    else:
        try:
            received_on = body.received_at.astimezone(pack.zone).date()
        except OverflowError:
            raise Refused("out_of_calendar", "received_at") from None
        for kind in pack.request_types:
            try:
                term = pack.term(kind.code, received_on)
            except LookupError:
                continue
            after = term.after_due
            copies = after.n if after and after.unit == "business_days" else None
            terms[kind.code] = _as_given(term) | {"copies_within": copies}
            kinds[kind.code] = term.kind
        procedure = pack.procedure
        for name, inside in (
            ("clarify_request", procedure.ask_for_completion),
            ("month1", procedure.complete),
            ("transfer_out", procedure.transfer),
        ):
            if inside is not None:
                terms[f"{body.request_type}.{name}"] = _as_given(inside)
    file = {
        "vectors": [case],
        "terms": terms,
        "calendars": {INLINE: given["calendar"]} if body.calendar else {},
        "default_policy": _policy() | body.policy,
    }
    try:
        cases = Cases(file, _in_force(body.request_type) if body.calendar is None else {})
        found = cases.deadline(case)
        if _days_told(found) > MOST_DAYS:
            raise _too_long("events" if body.events else "term.n")
        computed = cases.computed(case, found)
        language = i18n.language.get()
        basis = None
        if law := cases.law(case, found):
            basis = words.Basis(law, "legal" if kinds.get(cases.rule(case, found)) == "legal" else "service_commitment")
        today = now().astimezone(ZoneInfo(zone)).date()
        with read() as session:
            unsure = calendars.warnings(session, found) if body.calendar is None else []
        return schemas.PreviewOut(
            computed=computed,
            rejected=dict(found.rejected),
            days=words.days(found, language),
            summary=words.summary(found, basis, today, ZoneInfo(zone), language),
            warnings=unsure,
            text=words.lines(found, basis, body.received_at, ZoneInfo(zone), language, cases.acts(case)),
        )
    except Misshapen as error:
        raise _refusal(body, error.key) from None
    except OutOfCalendar:
        raise Refused("out_of_calendar", "received_at") from None


def _refusal(body: schemas.PreviewIn, key: str) -> Refused:
    """What is wrong with a question, by the place in its case that could not be read."""
    if key.startswith("terms."):
        code = key.removeprefix("terms.")
        known = any(kind.code == code for kind in jurisdiction().request_types)
        reason = "no_term" if known and body.term is None else "unknown_request_type"
        if code == body.request_type:
            return Refused(reason, "request_type")
        # Not a type of the question itself, so of a retype.
        place = next((place for place, event in enumerate(body.events) if event.to == code), None)
        if place is not None:
            return Refused(reason, f"events.{place}.to")
    return Refused("preview_unreadable", re.sub(r"\[(\d+)\]", r".\1", key).replace(f"calendars.{INLINE}", "calendar"))


def _too_long(field: str) -> Refused:
    return Refused("preview_too_long", field, days=MOST_DAYS, changes=MOST_CHANGES)


def _days_told(found: Deadline) -> int:
    if found.term is None or found.term.unit == "months":
        return 0
    last = found.due_date or found.asked_on[-1]
    return (last - found.effective_receipt_date) // timedelta(days=1)


def _as_given(term: ProcedureTerm) -> dict[str, Any]:
    return {"unit": term.unit, "n": term.n, "extension_max_added": term.extension_max_added, "law": term.article}


def _policy() -> dict[str, Any]:
    return jurisdiction().counting.model_dump(mode="json")


def _in_force(type_code: str | None) -> dict[str, Calendar]:
    """The municipality's calendar as it applies to this type; to none in particular, without exceptions by type."""
    # Calendars stay in memory by type: whatever else a stranger writes must not become one.
    known = any(kind.code == type_code for kind in jurisdiction().request_types)
    with tx() as session:
        return {IN_FORCE: calendars.calendar(session, in_force(session), type_code if known and type_code else "")}
