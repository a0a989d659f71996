"""How a survey is shown."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from tejido_registry.models import Organization, Survey
from tejido_registry.surveys import queries, schemas, service


def survey_out(session: Session, survey: Survey) -> schemas.SurveyOut:
    counted = {
        state: (count, late) for state, count, late in queries.progress(session, survey, service.visited_since())
    }

    def of(state: str) -> tuple[int, int]:
        return counted.get(state, (0, 0))

    return schemas.SurveyOut(
        **summary_fields(survey),
        progress=schemas.Progress(
            organizations=sum(count for count, _ in counted.values()),
            visited=of("visited")[0],
            not_found=of("not_found")[0],
            to_visit=of("to_visit")[0],
            overdue=of("to_visit")[1] + of("not_found")[1],
        ),
    )


def summary_fields(survey: Survey) -> dict[str, Any]:
    return {name: getattr(survey, name) for name in schemas.SurveySummary.model_fields}


def visits_out(session: Session, organizations: Sequence[Organization]) -> list[schemas.VisitOut]:
    last = queries.last_full_visits(session, [one.id for one in organizations])
    names = schemas.VisitOut.model_fields.keys() - {"area", "last_full_visit_on"}
    return [
        schemas.VisitOut(
            **{name: getattr(one, name) for name in names},
            area=one.area or one.area_found,
            last_full_visit_on=last[one.id],
        )
        for one in organizations
    ]
