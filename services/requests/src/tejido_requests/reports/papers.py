"""The periodic report for paper, and figures as CSV."""

import csv
import io
from collections.abc import Sequence

from tejido_requests.documents import (
    Acts,
    AgeBand,
    Chart,
    Column,
    Figure,
    InformationRequests,
    OnTime,
    Report,
    Section,
    Table,
    Words,
    acts_section,
    backlog_section,
    information_section,
    report,
)
from tejido_requests.documents.reports import Cell
from tejido_requests.documents.typesetting import Language
from tejido_requests.reports import schemas
from tejido_requests.reports.schemas import Dimension, Figures, Group
from tejido_requests.settings import jurisdiction
from tejido_shared.clock import now

_COUNTS = ("received", "on_time", "late", "open", "overdue", "paused")
_BARS = ("on_time", "late", "pending", "overdue")
_SHORT = ("received", "on_time", "late", "open", "overdue", "paused", "other")


def pdf(of: schemas.PqrsdOut, language: Language) -> bytes:
    pack = jurisdiction()
    words = Words(language, pack.country)
    total, acts, information = of.total, of.acts, of.information
    backlog = [AgeBand(band.from_days, band.to_days, band.open, band.overdue) for band in total.ageing]
    names = {
        "type": {kind.code: kind.name for kind in pack.request_types},
        "office": {office.code: office.name for office in pack.offices},
        "channel": {channel.code: channel.name for channel in pack.channels},
        "area": {area.code: area.name for area in pack.areas},
    }
    tables: list[tuple[Dimension, list[Group]]] = [
        ("type", of.by_type),
        ("office", of.by_office),
        ("channel", of.by_channel),
        ("area", of.by_area),
    ]
    method = [words.say("report.method.period"), words.say("report.method.pauses"), words.say("report.method.history")]
    limited = ""
    if of.offices is not None:
        limited = words.say("report.limited", offices=", ".join(_named(of.offices, names["office"])))
    return report(
        Report(
            entity=pack.entity,
            country=pack.country,
            zone=pack.zone,
            start=of.start,
            end=of.end,
            limited=limited,
            issued_at=now(),
            on_time=OnTime(total.on_time, total.on_time + total.late, total.overdue),
            figures=(
                Figure(words.say("report.figure.received"), total.received),
                Figure(words.say("report.figure.answered"), total.on_time + total.late),
                Figure(
                    words.say("report.figure.open"),
                    total.open_at_end or 0,
                    words.say("report.figure.paused", paused=words.number(total.paused)),
                ),
            ),
            sections=(
                *(_counts(by, groups, total, names[by], words) for by, groups in tables),
                _days(of, names["type"], words),
                backlog_section(
                    total.open_at_start or 0, total.received, total.closed or 0, total.open_at_end or 0, backlog, words
                ),
                acts_section(
                    Acts(
                        acts.extensions,
                        acts.extension_days,
                        acts.transfers,
                        acts.transfers_on_time,
                        acts.accepted_by_silence,
                    ),
                    words,
                ),
                _others(total, acts, words),
                information_section(
                    InformationRequests(
                        information.received, information.transferred, information.denied, information.response_days
                    ),
                    words,
                ),
            ),
            method=tuple(method),
            language=language,
        )
    )


def _named(codes: Sequence[str], names: dict[str, str]) -> list[str]:
    return [names.get(code, code) for code in codes]


def _label(group: Group, by: Dimension, names: dict[str, str], words: Words) -> str:
    code = getattr(group, by)
    return words.say("report.none") if code is None else names.get(code, code)


def _counts(by: Dimension, groups: Sequence[Group], total: Figures, names: dict[str, str], words: Words) -> Section:
    """Received, answered and otherwise closed in the period, and what was pending at its end."""
    groups = sorted(groups, key=lambda group: (getattr(group, by) is None, _label(group, by, names, words)))
    columns = (
        Column(words.say(f"report.by.{by}"), "text"),
        *(Column(words.say(f"report.column.{name}")) for name in _SHORT),
        Column(words.say("report.column.rate"), "percent"),
    )
    table = Table(
        columns,
        tuple(_cells(_label(group, by, names, words), group) for group in groups),
        total=_cells(words.say("report.total"), total),
        note=words.say("report.method.ranking") if by == "area" else "",
    )
    parts: tuple[Table | Chart | str, ...] = (table,)
    # What is paused is pending too: without it a bar would be shorter than its row in the table.
    bars = [
        (_label(group, by, names, words), bar)
        for group in groups
        if any(bar := (group.on_time, group.late, group.open + group.paused, group.overdue))
    ]
    if len(bars) > 1 and by != "area":
        series = tuple(words.say(f"report.column.{name}") for name in _BARS)
        parts += (Chart(words.say("report.chart.activity"), series, tuple(bars)),)
    return Section(words.say(f"report.section.{by}"), parts)


def _cells(label: str, of: Figures) -> tuple[Cell, ...]:
    other = of.withdrawn + of.transferred + of.split + of.merged
    return (label, *(getattr(of, name) for name in _COUNTS), other, of.on_time_rate)


def _days(of: schemas.PqrsdOut, names: dict[str, str], words: Words) -> Section:
    """How long answers took: the first and the final one, apart."""
    titles = ("first_answer_days", "first_answer_median", "final_answer_days", "final_answer_median")
    columns = (
        Column(words.say("report.by.type"), "text"),
        *(Column(words.say(f"report.column.{name}")) for name in titles),
    )
    answered = [
        group for group in of.by_type if group.first_answer_days is not None or group.final_answer_days is not None
    ]
    rows = tuple((_label(g, "type", names, words), *(getattr(g, name) for name in titles)) for g in answered)
    total = (words.say("report.total"), *(getattr(of.total, name) for name in titles))
    return Section(words.say("report.section.days"), (Table(columns, rows, total=total),))


def _others(total: Figures, acts: schemas.ActsOut, words: Words) -> Section:
    rows: dict[str, Cell] = {
        "withdrawals": acts.withdrawals - acts.tacit_withdrawals,
        "tacit_withdrawals": acts.tacit_withdrawals,
        "split": total.split,
        "merged": total.merged,
        "disputes": total.disputes,
        "priority": total.priority,
        "ratings": total.ratings,
        "stars": total.stars,
    }
    columns = (Column(words.say("report.column.what"), "text"), Column(words.say("report.column.count")))
    table = Table(columns, tuple((words.law(f"report.others.{name}"), value) for name, value in rows.items()))
    return Section(words.say("report.section.others"), (table,))


def figures_csv(of: schemas.FiguresOut) -> bytes:
    """A line for each group, the total last; codes and names as in the API."""
    plain = [name for name in Figures.model_fields if name != "ageing"]
    text = io.StringIO()
    writer = csv.writer(text)
    bands = [(band.from_days, band.to_days) for band in of.total.ageing]
    ages = [f"{kind}_{start}_{'' if end is None else end}" for start, end in bands for kind in ("open", "overdue")]
    writer.writerow(["from", "to", "of", "as_of", *of.by, *plain, *ages])
    for group in [*of.groups, of.total]:
        keys = [getattr(group, name, None) if isinstance(group, Group) else "*" for name in of.by]
        aged = [count for band in group.ageing for count in (band.open, band.overdue)]
        period = [of.start, of.end, of.of, of.as_of.isoformat()]
        writer.writerow([*period, *keys, *(getattr(group, name) for name in plain), *aged])
    return b"\xef\xbb\xbf" + text.getvalue().encode()
