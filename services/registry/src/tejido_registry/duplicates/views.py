"""How pairs are shown: side by side, with what speaks for and against in words."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry.duplicates import queries, schemas
from tejido_registry.models import DuplicatePair, Organization
from tejido_registry.service import PACKAGE
from tejido_shared import i18n

_SAME = tuple(schemas.Side.model_fields.keys() - {"identifiers"})


def pairs(session: Session, some: Sequence[DuplicatePair]) -> list[schemas.PairOut]:
    """In a fixed number of statements, however many they are."""
    sides = queries.organizations(session, {key for one in some for key in (one.first_id, one.second_id)})
    return [
        schemas.PairOut(
            id=one.id,
            status=one.status,
            score=one.score,
            signals=_signals(one.signals),
            first=_side(sides[one.first_id]),
            second=_side(sides[one.second_id]),
            found_at=one.found_at,
            decided_by=one.decided_by,
            decided_at=one.decided_at,
            reason=one.reason,
        )
        for one in some
    ]


def _side(one: Organization) -> schemas.Side:
    return schemas.Side(
        **{name: getattr(one, name) for name in _SAME},
        identifiers=[" ".join(filter(None, (i.scheme, i.value, i.check_digit))) for i in one.identifiers],
    )


def _signals(said: dict[str, dict[str, Any]]) -> list[schemas.Signal]:
    return [
        schemas.Signal(code=code, weight=about["weight"], text=i18n.text(PACKAGE, f"duplicate.{code}", **about))
        for code, about in sorted(said.items(), key=lambda item: -abs(item[1]["weight"]))
    ]
