"""The terms of the procedure, counted over the pack's closures. Nothing here is stored; `tejido_shared.deadlines` counts."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

from tejido_registry.settings import jurisdiction
from tejido_shared import contracts, i18n
from tejido_shared.deadlines import Act, Calendar, Closed, CountedDay, Deadline, Policy, Term, deadline
from tejido_shared.jurisdiction import ProcedureTerm

PACKAGE = "tejido_registry"


@cache
def calendar() -> Calendar:
    """The days that count for the register: those on which the offices work and no closure suspends terms."""
    pack = jurisdiction()
    closed = {
        day: Closed(closure.name, closure.act)
        for closure in pack.closures
        if closure.suspends_terms
        for day in closure.days()
    }
    return Calendar(pack.counting.weekdays, closed)


def counted(since: datetime, term: ProcedureTerm, acts: Sequence[Act] = ()) -> Deadline:
    """When a term that runs from this instant ends, after these pauses."""
    pack = jurisdiction()
    counting = pack.counting
    policy = Policy(counting.receipt_rule, counting.cutoff, counting.overdue, counting.office_close)
    return deadline(since, Term(term.unit, term.n), calendar(), pack.zone, policy, acts)


def length(term: ProcedureTerm) -> str:
    """The term in words: 15 días hábiles."""
    return i18n.text(PACKAGE, f"term.{term.unit}.{'one' if term.n == 1 else 'many'}", n=term.n)


def days(found: Deadline) -> list[contracts.CountedDay]:
    """Each day of the count with its ordinal, or the reason why it does not count."""
    return [contracts.CountedDay(day=one.day, ordinal=one.ordinal, why_not=_why_not(one)) for one in found.days()]


def _why_not(one: CountedDay) -> str | None:
    if one.ordinal is not None:
        return None
    if one.paused_since is not None:
        return i18n.text(PACKAGE, "term.paused")
    if one.closed is not None:
        return f"{one.closed.name} ({one.closed.act})"
    return i18n.text(PACKAGE, "term.weekend")
