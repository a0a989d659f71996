"""How merges are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry.merges import moves, queries, schemas, service
from tejido_registry.models import Merge, Organization
from tejido_registry.service import PACKAGE
from tejido_shared import i18n
from tejido_shared.problems import FieldError


def preview(
    session: Session, survivor: Organization, absorbed: Organization, chosen: Mapping[str, str]
) -> schemas.PreviewOut:
    choices = service.proposed(survivor, absorbed) | dict(chosen)
    rows: dict[str, tuple[Any, Any]] = {
        name: (getattr(survivor, name), getattr(absorbed, name)) for name in service.FIELDS
    }
    rows["point"] = (_point(survivor), _point(absorbed))
    rows |= {f"identifiers.{scheme}": two for scheme, two in service.conflicts(survivor, absorbed).items()}
    missing = moves.unhandled()
    obstacles = [
        FieldError(field=field, code=code, reason=i18n.text(PACKAGE, f"field.{code}"))
        for field, code in service.obstacles(session, survivor, absorbed, chosen)
    ]
    if missing:
        text = i18n.text(PACKAGE, "problem.merge_unhandled.detail", references=", ".join(missing))
        obstacles.append(FieldError(field="", code="merge_unhandled", reason=text))
    return schemas.PreviewOut(
        survivor_id=survivor.id,
        survivor_number=survivor.number,
        absorbed_id=absorbed.id,
        absorbed_number=absorbed.number,
        fields=[
            schemas.FieldOut(
                field=name,
                survivor=moves.plain(mine),
                absorbed=moves.plain(theirs),
                differs=mine != theirs,
                choice=choices[name],
                both=name in service.LISTS,
            )
            for name, (mine, theirs) in rows.items()
        ],
        moves=moves.counts(session, absorbed.id, "moves"),
        stays=moves.counts(session, absorbed.id, "stays"),
        obstacles=obstacles,
    )


def one(session: Session, merge: Merge) -> schemas.MergeOut:
    """With what it would do, while it waits for the second officer."""
    shown = many(session, [merge])[0]
    if merge.status == "proposed":
        survivor, absorbed = service.sides(session, merge)
        shown.preview = preview(session, survivor, absorbed, merge.choices)
    return shown


def many(session: Session, some: Sequence[Merge]) -> list[schemas.MergeOut]:
    found = queries.organizations(session, {key for one in some for key in (one.survivor_id, one.absorbed_id)})
    same = ("id", "version", "survivor_id", "absorbed_id", "reason", "moved", "proposed_by", "proposed_at")
    return [
        schemas.MergeOut(
            **{name: getattr(merge, name) for name in (*same, "done_by", "done_at", "undone_by", "undone_at")},
            status=merge.status,
            choices=merge.choices,
            survivor_number=found[merge.survivor_id].number,
            survivor_name=found[merge.survivor_id].name,
            absorbed_number=found[merge.absorbed_id].number,
            absorbed_name=found[merge.absorbed_id].name,
            undo_until=merge.undo_until.isoformat() if merge.undo_until else None,
            kept=[
                schemas.KeptOut(**kept, text=i18n.text(PACKAGE, f"merge.{kept['why']}", what=kept["what"]))
                for kept in merge.kept
            ],
        )
        for merge in some
    ]


def _point(one: Organization) -> list[float | None] | None:
    return [one.latitude, one.longitude] if one.latitude is not None else None
