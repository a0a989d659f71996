"""The quality board put together, and what it learns from outside. Each takes a session, none commits."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_registry.quality import queries, schemas
from tejido_registry.settings import jurisdiction
from tejido_shared import i18n
from tejido_shared.clock import now

PACKAGE = "tejido_registry"
FIGURES: tuple[schemas.Figure, ...] = get_args(schemas.Figure)
LIST = "/v1/quality/organizations"
_ALL, _BY_AREA, _BY_TYPE = 3, 1, 2


def note_bounce(session: Session, organization_id: UUID, at: datetime) -> None:
    """Mail to the organization came back. Forgotten when its contacts change."""
    queries.mark_bounced(session, organization_id, at)


def board(session: Session) -> schemas.BoardOut:
    """The whole board in two statements, however many organizations there are."""
    at = now()
    rows = queries.figures(session, at, today(at))
    whole = next(row for row in rows if row.part == _ALL)
    return schemas.BoardOut(
        at=at,
        organizations=whole.organizations,
        duplicates_pending=queries.duplicates_pending(session),
        duplicates_list="/v1/duplicates?status=pending",
        figures=_figures(whole),
        by_area=_areas([row for row in rows if row.part == _BY_AREA]),
        by_type=_types([row for row in rows if row.part == _BY_TYPE]),
    )


def today(at: datetime) -> date:
    return at.astimezone(jurisdiction().zone).date()


def as_csv(of: schemas.BoardOut) -> bytes:
    """A line for each area and type, the whole register last, with * for what it is not grouped by. UTF-8 with a mark, for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["at", "area", "organization_type", "name", "organizations", *FIGURES])
    whole = schemas.GroupOut(code="*", name="*", organizations=of.organizations, figures=of.figures)
    groups = [(one.code or "", "*", one) for one in of.by_area] + [("*", one.code, one) for one in of.by_type]
    for area, kind, group in [*groups, ("*", "*", whole)]:
        counts = [one.count for one in group.figures]
        writer.writerow([of.at.isoformat(), area, kind, group.name, group.organizations, *counts])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _areas(rows: Sequence[Any]) -> list[schemas.GroupOut]:
    """In the pack's order; then codes the pack has no more, and those without."""
    names: dict[Any, str] = {one.code: one.name for one in jurisdiction().areas}
    found = {row.area: row for row in rows}
    codes = [code for code in names if code in found] + sorted(code for code in found if code and code not in names)
    groups = [_group(code, names.get(code, code), found[code], {"area": code}) for code in codes]
    if None in found:
        nowhere = i18n.text(PACKAGE, "quality.no_area")
        groups.append(_group(None, nowhere, found[None], {"area": queries.WITHOUT}))
    return groups


def _types(rows: Sequence[Any]) -> list[schemas.GroupOut]:
    names: dict[Any, str] = {one.code: one.name for one in jurisdiction().organization_types}
    found = {row.organization_type: row for row in rows}
    codes = [code for code in names if code in found] + sorted(code for code in found if code not in names)
    return [_group(code, names.get(code, code), found[code], {"organization_type": code}) for code in codes]


def _group(code: str | None, name: str, row: Any, part: dict[str, str]) -> schemas.GroupOut:
    return schemas.GroupOut(code=code, name=name, organizations=row.organizations, figures=_figures(row, part))


def _figures(row: Any, part: dict[str, str] | None = None) -> list[schemas.FigureOut]:
    figures = []
    for code in FIGURES:
        count, of = getattr(row, code), getattr(row, queries.total_of(code))
        asked = {"figure": code, **({"holds": "false"} if code in queries.GOOD else {}), **(part or {})}
        figures.append(
            schemas.FigureOut(
                code=code,
                name=i18n.text(PACKAGE, f"quality.{code}"),
                count=count,
                of=of,
                share=round(count / of, 4) if of else None,
                list=f"{LIST}?{urlencode(asked)}",
            )
        )
    return figures
