"""The periodic report of petitions, complaints, claims, suggestions and reports of wrongdoing (informe de PQRSD).

`Report` holds sections of any tables and charts; the functions ending in `_section` make the usual ones, with their titles and columns,
from plain figures. Nothing here computes a figure from requests but the on-time rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from tejido_requests.documents.typesetting import Block, Language, Words, pdf
from tejido_shared.jurisdiction.models import Entity

Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """`percent` takes shares from 0 to 1. Numbers are written as the country does."""

    title: str
    kind: Literal["text", "number", "percent"] = "number"


@dataclass(frozen=True)
class Table:
    """Rows as long as `columns`; `total` is set off below them. A cell of None reads as a dash: there is nothing to tell."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """Stacked horizontal bars: at most four `series`, and as many values (not negative) in each bar."""

    title: str
    series: tuple[str, ...]
    bars: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Section:
    title: str
    parts: tuple[Table | Chart | str, ...]


@dataclass(frozen=True)
class Figure:
    """One headline figure."""

    label: str
    value: int | float | str
    note: str = ""


@dataclass(frozen=True)
class OnTime:
    """What the on-time rate is made of: answers notified in time, all answers, and open requests past their due instant."""

    on_time: int
    answered: int
    open_overdue: int

    @property
    def rate(self) -> float | None:
        """on time / (answered + open overdue), from 0 to 1; None when there is nothing to divide by."""
        whole = self.answered + self.open_overdue
        return self.on_time / whole if whole else None


@dataclass(frozen=True)
class Report:
    """`start` and `end` are both in the period. `limited`: what it is limited to, if not of all the entity; it is told beside the period.

    `method`: further notes on how it was computed, below the standing ones.
    """

    entity: Entity
    country: str
    zone: ZoneInfo
    start: date
    end: date
    issued_at: datetime
    on_time: OnTime
    figures: tuple[Figure, ...]
    sections: tuple[Section, ...]
    method: tuple[str, ...] = ()
    limited: str = ""
    language: Language = "es"


def report(of: Report) -> bytes:
    """The report as PDF. Raises `ValueError` for a table or chart whose rows are not of one length."""
    words = Words(of.language, of.country)
    period = words.say("report.period", start=words.plain_day(of.start), end=words.plain_day(of.end))
    issued = words.say("report.issued", day=words.plain_day(of.issued_at.astimezone(of.zone).date()))
    headline = [_rate_figure(of.on_time, words)]
    headline += [
        {"label": f.label, "value": f.value if isinstance(f.value, str) else words.number(f.value), "note": f.note}
        for f in of.figures
    ]
    blocks: list[Block] = [{"kind": "figures", "items": headline}]
    for section in of.sections:
        blocks.append({"kind": "heading", "text": section.title})
        blocks += [_block(part, words) for part in section.parts]
    notes = [words.say("report.method.rate"), words.say("report.method.days"), words.say("report.method.ranking")]
    blocks += [
        {"kind": "heading", "text": words.say("report.method")},
        {"kind": "items", "items": [*notes, *of.method]},
        {"kind": "small", "text": issued},
    ]
    return pdf(
        words,
        of.entity,
        title=words.law("report.title"),
        subtitle=f"{period}. {of.limited}" if of.limited else period,
        footer=f"{of.entity.short_name} · {words.law('report.title')}",
        blocks=blocks,
        at=of.issued_at,
    )


def _rate_figure(of: OnTime, words: Words) -> dict[str, str]:
    numbers = {"on_time": of.on_time, "answered": of.answered, "overdue": of.open_overdue}
    return {
        "label": words.say("report.rate"),
        "value": _written(of.rate, "percent", words),
        "note": words.say("report.rate.numbers", **{name: words.number(n) for name, n in numbers.items()}),
    }


def _block(part: Table | Chart | str, words: Words) -> Block:
    if isinstance(part, str):
        return {"kind": "prose", "text": part}
    if isinstance(part, Chart):
        return _chart(part, words)
    kinds = [column.kind for column in part.columns]
    return {
        "kind": "table",
        "title": part.title,
        "columns": [column.title for column in part.columns],
        "numeric": [kind != "text" for kind in kinds],
        "rows": [_row(row, kinds, words) for row in part.rows],
        "total": _row(part.total, kinds, words) if part.total else [],
        "note": part.note,
    }


def _row(row: tuple[Cell, ...], kinds: list[Literal["text", "number", "percent"]], words: Words) -> list[str]:
    return [_written(cell, kind, words) for cell, kind in zip(row, kinds, strict=True)]


def _written(cell: Cell, kind: Literal["text", "number", "percent"], words: Words) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    return words.percent(cell) if kind == "percent" else words.number(cell)


def _chart(of: Chart, words: Words) -> Block:
    if len(of.series) > 4 or any(len(values) != len(of.series) or min(values) < 0 for _, values in of.bars):
        raise ValueError("a chart has at most four series, and each bar one value of each, none negative")
    return {
        "kind": "chart",
        "title": of.title,
        "series": of.series,
        "bars": [
            {
                "label": label,
                "values": values,
                "words": [words.number(value) for value in values],
                "total": sum(values),
                "total_words": words.number(sum(values)),
            }
            for label, values in of.bars
        ],
    }


# The usual sections.


@dataclass(frozen=True)
class Counts:
    """What happened to the requests of one type, office, channel or area.

    `received` = `on_time` + `late` + `open` + `overdue`: answered in and out of time, open within their term and past it. The averages
    are in business days from receipt to the first and to the final answer, None without answers.
    """

    label: str
    on_time: int
    late: int
    open: int
    overdue: int
    first_answer_days: float | None = None
    final_answer_days: float | None = None

    @property
    def answered(self) -> int:
        return self.on_time + self.late

    @property
    def received(self) -> int:
        return self.answered + self.open + self.overdue


@dataclass(frozen=True)
class AgeBand:
    """Open requests that are `from_days` to `to_days` business days old, both included; no `to_days`: or more."""

    from_days: int
    to_days: int | None
    open: int
    overdue: int


@dataclass(frozen=True)
class Acts:
    """Acts on requests in the period. Days are business days, averages None when there was no such act."""

    extensions: int
    extension_days: float | None
    transfers: int
    transfers_on_time: int
    accepted_by_silence: int


@dataclass(frozen=True)
class InformationRequests:
    """Requests for public information (Ley 1712/2014): `response_days` is the average in business days."""

    received: int
    transferred: int
    denied: int
    response_days: float | None


def counts_section(
    by: Literal["type", "office", "channel", "area"],
    rows: Sequence[Counts],
    total: Counts | None,
    words: Words,
    *,
    chart: bool = True,
) -> Section:
    """A table of the counts by one dimension, and a bar chart if there is something to compare.

    By area it carries the warning against ranking neighbourhoods.
    """
    states = ("on_time", "late", "open", "overdue")
    titles = ("received", "answered", *states)
    columns = (
        Column(words.say(f"report.by.{by}"), "text"),
        *(Column(words.say(f"report.column.{title}")) for title in titles),
        Column(words.say("report.column.rate"), "percent"),
        Column(words.say("report.column.first_answer_days")),
        Column(words.say("report.column.final_answer_days")),
    )
    table = Table(
        columns,
        tuple(_counted(row) for row in rows),
        total=_counted(total) if total else None,
        note=words.say("report.method.ranking") if by == "area" else "",
    )
    parts: tuple[Table | Chart | str, ...] = (table,)
    if chart and len(rows) > 1:
        bars = tuple((row.label, (row.on_time, row.late, row.open, row.overdue)) for row in rows)
        series = tuple(words.say(f"report.column.{state}") for state in states)
        parts += (Chart(words.say(f"report.chart.{by}"), series, bars),)
    return Section(words.say(f"report.section.{by}"), parts)


def _counted(of: Counts) -> tuple[Cell, ...]:
    rate = OnTime(of.on_time, of.answered, of.overdue).rate
    states = (of.received, of.answered, of.on_time, of.late, of.open, of.overdue)
    return (of.label, *states, rate, of.first_answer_days, of.final_answer_days)


def backlog_section(
    open_at_start: int, received: int, closed: int, open_at_end: int, bands: Sequence[AgeBand], words: Words
) -> Section:
    """How the pile of open requests moved over the period, and how old it is at its end."""
    flow = {"open_at_start": open_at_start, "received": received, "closed": closed, "open_at_end": open_at_end}
    ages = Table(
        (
            Column(words.say("report.column.age"), "text"),
            Column(words.say("report.column.open")),
            Column(words.say("report.column.overdue")),
        ),
        tuple((_age(band, words), band.open, band.overdue) for band in bands),
        total=(words.say("report.total"), sum(band.open for band in bands), sum(band.overdue for band in bands)),
        title=words.say("report.ageing"),
    )
    return Section(words.say("report.section.backlog"), (_list("backlog", flow, words), ages))


def acts_section(acts: Acts, words: Words) -> Section:
    """Extensions, transfers to other authorities and requests accepted by silence."""
    rows: dict[str, Cell] = {
        "extensions": acts.extensions,
        "extension_days": acts.extension_days,
        "transfers": acts.transfers,
        "transfers_on_time": acts.transfers_on_time,
        "accepted_by_silence": acts.accepted_by_silence,
    }
    return Section(words.say("report.section.acts"), (_list("acts", rows, words),))


def information_section(of: InformationRequests, words: Words) -> Section:
    """Requests for public information, as Ley 1712/2014 asks them to be reported."""
    rows: dict[str, Cell] = {
        "received": of.received,
        "transferred": of.transferred,
        "denied": of.denied,
        "response_days": of.response_days,
    }
    return Section(words.law("report.section.information"), (_list("information", rows, words),))


def _list(name: str, rows: dict[str, Cell] | dict[str, int], words: Words) -> Table:
    columns = (Column(words.say("report.column.what"), "text"), Column(words.say("report.column.count")))
    return Table(columns, tuple((words.law(f"report.{name}.{code}"), value) for code, value in rows.items()))


def _age(band: AgeBand, words: Words) -> str:
    if band.to_days is None:
        return words.say("report.age.more", start=band.from_days)
    return words.say("report.age", start=band.from_days, end=band.to_days)
