"""The figures of a period, and the periodic report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_requests.db import read, tx
from tejido_requests.reports import queries, schemas
from tejido_requests.reports.past import changed_since
from tejido_requests.reports.queries import OpenDays, Period
from tejido_requests.reports.schemas import Basis, Figures, Group
from tejido_requests.settings import jurisdiction
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.jurisdiction import Role
from tejido_shared.refusals import Refused

MOST_GROUPS = 5000
Sets = Sequence[Sequence[str]]


def scope(caller: Principal) -> list[str] | None:
    """The offices whose requests a caller may count; None: all."""
    return None if caller.has(Role.SUPERVISOR, Role.AUDITOR) else sorted(caller.offices)


@contextmanager
def snapshot() -> Iterator[Session]:
    """A session that writes nothing and for which the database stands still."""
    with tx() as session:
        session.execute(sa.text("set transaction isolation level repeatable read, read only"))
        session.execute(sa.text("set local work_mem = '64MB'"))  # medians sort all there is
        yield session


def open_days(asked: Period) -> OpenDays:
    with read() as session:
        return queries.open_days(session, asked.last_day)


def count(
    session: Session,
    asked: Period,
    of: Basis,
    days: OpenDays,
    sets: Sets,
    offices: Sequence[str] | None,
    instead: Mapping[str, Any] | None = None,
) -> list[list[Group]]:
    """The figures by each of the sets of dimensions; the empty set is the total, always one."""
    was = changed_since(session, asked.until) if asked.until <= now() else []
    rows = queries.requests(asked, of, days, was, offices, instead)
    names = queries.used(sets)
    found = session.execute(queries.grouped(rows, sets, MOST_GROUPS + 1)).mappings().all()
    if len(found) > MOST_GROUPS:
        raise Refused("too_many_groups", "query.by", most=MOST_GROUPS)
    levels = [queries.level_of(group, names) for group in sets]
    return [
        [_group(row, group) for row in found if row["level"] == level]
        for group, level in zip(sets, levels, strict=True)
    ]


def _group(row: sa.RowMapping, dimensions: Sequence[str]) -> Group:
    plain = {name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")}
    ages = [
        schemas.AgeBand(
            from_days=start, to_days=end, open=plain.pop(f"open_{start}"), overdue=plain.pop(f"overdue_{start}")
        )
        for start, end in queries.AGES
    ]
    if "month" in dimensions:
        # A pile belongs to no month of its requests.
        plain |= dict.fromkeys(("open_at_start", "closed", "open_at_end"))
    return Group(
        **plain,
        **{name: row[name] for name in dimensions},
        on_time_rate=rate(plain["on_time"], plain["late"], plain["overdue"]),
        ageing=ages,
    )


def rate(on_time: int, late: int, overdue: int) -> float | None:
    """on time / (answered + open overdue): what is late and not answered counts against it."""
    whole = on_time + late + overdue
    return on_time / whole if whole else None


def figures(caller: Principal, asked: schemas.FiguresQuery) -> schemas.FiguresOut:
    period = queries.period(asked.start, asked.end)
    days, offices = open_days(period), scope(caller)
    by = [name for name in queries.DIMENSIONS if name in asked.by]
    with snapshot() as session:
        found = count(session, period, asked.of, days, [[], by] if by else [[]], offices)
    groups = found[1] if by else []
    if "month" in by and asked.of == "received":
        groups = [group for group in groups if group.received]
    if "month" in by and asked.of == "closed":
        # What is open and overdue has no month of closing, so a month's rate would flatter.
        groups = [group.model_copy(update={"on_time_rate": None}) for group in groups]
    return schemas.FiguresOut(
        start=asked.start,
        end=asked.end,
        of=asked.of,
        as_of=period.as_of,
        by=by,
        offices=offices,
        total=_total(found[0]),
        groups=groups,
    )


def _total(found: Sequence[Group]) -> Figures:
    (total,) = found
    return Figures.model_validate({name: getattr(total, name) for name in Figures.model_fields})


def pqrsd(caller: Principal, asked: schemas.PeriodQuery) -> schemas.PqrsdOut:
    """The report as data."""
    period = queries.period(asked.start, asked.end)
    days, offices = open_days(period), scope(caller)
    with snapshot() as session:
        sets = [[], ["type"], ["office"], ["channel"], ["area"]]
        total, by_type, by_office, by_channel, by_area = count(session, period, "closed", days, sets, offices)
        acts = session.execute(queries.acts(period, offices)).mappings().one()
    return schemas.PqrsdOut(
        start=asked.start,
        end=asked.end,
        as_of=period.as_of,
        offices=offices,
        total=_total(total),
        by_type=by_type,
        by_office=by_office,
        by_channel=by_channel,
        by_area=by_area,
        acts=schemas.ActsOut(**acts, accepted_by_silence=total[0].accepted_by_silence),
        information=_information(by_type),
    )


def _information(by_type: Sequence[Group]) -> schemas.InformationOut:
    found = [group for group in by_type if group.type in queries.INFORMATION]
    answers = [(group.final_answer_days, group.on_time + group.late) for group in found]
    days = [(average, n) for average, n in answers if average is not None and n]
    return schemas.InformationOut(
        types=[kind.code for kind in jurisdiction().request_types if kind.code in queries.INFORMATION],
        received=sum(group.received for group in found),
        transferred=sum(group.transferred for group in found),
        denied=sum(group.denied for group in found),
        response_days=sum(average * n for average, n in days) / sum(n for _, n in days) if days else None,
    )
