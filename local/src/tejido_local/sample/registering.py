"""What happens to an organization in the register: its procedure, its boards, who looked at it, what it files and shows."""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from random import Random
from typing import Any, Literal
from uuid import UUID

import shapely
import sqlalchemy as sa
from sqlalchemy.orm import Session

from tejido_local.sample.town import Step, Town, sample_id
from tejido_registry import service
from tejido_registry.certificates import service as certificates
from tejido_registry.directory import service as directory
from tejido_registry.directory.schemas import ProfileIn
from tejido_registry.documents import queries as document_queries
from tejido_registry.documents import service as documents
from tejido_registry.duplicates import service as duplicates
from tejido_registry.mandates import queries as mandate_queries
from tejido_registry.mandates import service as mandates
from tejido_registry.mandates.schemas import BoardIn, EndIn, OfficeIn, PersonIn
from tejido_registry.merges import service as merges
from tejido_registry.models import DuplicatePair, Organization
from tejido_registry.procedure import queries as procedure_queries
from tejido_registry.procedure import service as procedure
from tejido_registry.quality import service as quality
from tejido_registry.renewal import service as renewal
from tejido_registry.schemas import OrganizationIn
from tejido_registry.standing import service as standing
from tejido_registry.surveys import service as surveys
from tejido_registry.surveys.schemas import SurveyIn
from tejido_registry.territories import service as territories
from tejido_registry.verifications import service as verifications
from tejido_registry.verifications.schemas import VerificationIn
from tejido_shared.clock import now

REGISTRAR, COLLEAGUE, AUTHORITY = (str(sample_id("user", name)) for name in ("registro", "registro2", "autoridad"))
_AGES = {"verified": (5, 330), "due": (380, 700), "stale": (750, 1300)}
"""Days since the last verification of an organization of this freshness."""
_SURVEY = 20
"""Days since the campaign of visits began."""
Act = tuple[int, Callable[[Organization], object]]
"""How many days ago something was done with an organization, and what."""


@dataclass(frozen=True)
class Story:
    """How an organization stands today, on every axis.

    `applied`: it went through the procedure, and was not taken over from an older register. `filed`: days since its last annual
    filing; `filing`: how far the next one is. `papers`: whoever signs for it was recognized by a document. `doubles`: number of
    the organization that it really is.
    """

    n: int
    status: str
    filed: int
    applied: bool = False
    on_line: bool = False
    office: str = "unknown"
    freshness: str = "never"
    profile: str = "none"
    papers: bool = False
    bounced: bool = False
    filing: Literal["none", "submitted", "in_review", "accepted"] = "none"
    certified: bool = False
    doubles: int = 0


@dataclass(frozen=True)
class Organized:
    """An organization to be entered so many days ago."""

    id: UUID
    representative: str
    body: dict[str, Any]
    story: Story
    entered: int


class Acts:
    """The register's use cases, told in days."""

    def __init__(self, session: Session, town: Town) -> None:
        self.session, self.town = session, town
        self._known: dict[UUID, Organization] = {}  # a session holds on to none, and would read each anew for every act
        self._survey: UUID | None = None

    def draw_areas(self) -> None:
        """Gives every area of the pack that the sample knows a point of a fictional shape: what is nearer to it than to the others."""
        spots = {town_spot[0]: town_spot[1:] for town_spot in map(self._centre, self.town.words["territories"])}
        points = {code: point for code, point in spots.items() if code is not None and None not in point}
        if len(points) < 2:
            return
        codes, around = (
            [*points],
            shapely.MultiPoint([(longitude, latitude) for latitude, longitude in points.values()]),
        )
        frame = around.envelope.buffer(0.03, join_style="mitre")
        cells = shapely.get_parts(shapely.voronoi_polygons(around, extend_to=frame, ordered=True))
        features = [
            {
                "properties": {"code": code},
                "geometry": shapely.set_precision(cell.intersection(frame), 1e-6).__geo_interface__,
            }
            for code, cell in zip(codes, cells, strict=True)
        ]
        territories.load(self.session, "area", features, code="code", name="code")

    def _centre(self, territory: list[Any]) -> tuple[str | None, float | None, float | None]:
        area, _, _ = self.town.spot(Random(0), territory[0])
        return (area, territory[1], territory[2]) if len(territory) == 3 else (area, None, None)

    def steps(self, one: Organized) -> Iterable[Step]:
        """Everything that happened to it, each at its moment."""
        rng = self.town.rng("registration", one.story.n)
        acts = sorted(self._acts(rng, one), key=lambda act: -act[0])
        instants = self.town.course(rng, [one.entered, *(min(age, one.entered) for age, _ in acts)])
        yield instants[0], partial(self._enter, one)
        for instant, (_, act) in zip(instants[1:], acts, strict=True):
            yield instant, partial(self._do, one.id, act)

    def settle(self, organized: list[Organized]) -> None:
        """What is found by looking at all of them: who is entered twice, and what the day asks for."""
        # All of it is one transaction, whose rows PostgreSQL counts for its plans only if it is told to from within.
        self.session.execute(sa.text("analyze"))
        while duplicates.check_due(self.session):
            pass
        twice = [one for one in organized if one.story.doubles]
        by_number = {one.story.n: one for one in organized}
        if len(twice) > 2:
            survivor, absorbed = (self._get(one.id) for one in (by_number[twice[0].story.doubles], twice[0]))
            merge = merges.propose(self.session, survivor, absorbed, {}, "Mismo lugar y teléfono.", REGISTRAR)
            merges.confirm(self.session, merge, survivor, absorbed, COLLEAGUE)
            self._declare_different(by_number[twice[1].story.doubles].id, twice[1].id)
        procedure.lapse(self.session, service.today())
        while renewal.turn(self.session, service.today()) == renewal.BATCH:
            pass

    def _declare_different(self, one: UUID, other: UUID) -> None:
        first, second = sorted((one, other))
        query = sa.select(DuplicatePair).where(DuplicatePair.first_id == first, DuplicatePair.second_id == second)
        if (pair := self.session.scalar(query)) is not None:
            duplicates.declare_different(self.session, pair, COLLEAGUE, "Comparten la sede; son dos.")

    def _acts(self, rng: Random, one: Organized) -> Iterable[Act]:
        yield from self._procedure(rng, one)
        if one.story.office != "unknown":
            yield from self._board(rng, one)
        if one.story.freshness != "never":
            yield from self._verifications(rng, one)
        if one.story.profile != "none":
            yield max(2, one.entered - rng.randint(5, 60)), partial(self._show, rng, one)
        if one.entered > 365 and one.story.status in ("registered", "suspended"):
            yield one.story.filed, self._filed
        if one.story.filing != "none":
            yield from self._filing(rng, one)
        if one.story.bounced:
            yield 3, lambda organization: quality.note_bounce(self.session, organization.id, now())
        if one.story.certified:
            yield 2, partial(self._certify, revoked=one.story.n % 18 == 10)

    # Procedure

    def _procedure(self, rng: Random, one: Organized) -> Iterable[Act]:
        story, age = one.story, one.entered
        by = "representative" if story.on_line else "registrar"
        who = one.representative if story.on_line else REGISTRAR
        if story.applied and story.status != "draft":
            # What is to be corrected must be within its term still.
            age = rng.randint(2, 6) if story.status == "needs_correction" else max(age - 4, 3)
            yield age + 2, partial(self._submit, "registration", by, who)
            if story.status != "submitted":
                yield age + 1, partial(self._take, "registration")
            if story.status == "needs_correction" or (story.status == "registered" and rng.random() < 0.4):
                yield age, partial(self._ask, rng)
            if story.status == "registered":
                yield age, partial(self._correct, by, who)
                yield age, partial(self._accept, "registration")
            if story.status == "rejected":
                yield age, partial(self._move, "rejected", "authority", AUTHORITY, rng)
        match story.status:
            case "inactive":
                grace = self.town.pack.registration.policy.grace_days
                months = self.town.pack.registration.policy.validity_months
                yield one.entered - months * 31 - grace - 5, partial(self._move, "inactive", "calendar", None, rng)
            case "suspended":
                yield rng.randint(5, 50), partial(self._move, "suspended", "authority", AUTHORITY, rng, act=True)
            case "cancelled":
                yield rng.randint(5, 150), partial(self._move, "cancelled", "authority", AUTHORITY, rng, act=True)
            case "withdrawn":
                yield rng.randint(5, 150), partial(self._move, "withdrawn", "registrar", REGISTRAR, rng)

    def _enter(self, one: Organized) -> None:
        """As the use case `create`, under a key of the sample: by it others know its organizations."""
        status = "draft" if one.story.applied else "registered"
        entered = dict(OrganizationIn(**one.body, registration_status=status))
        values = service.checked(entered, entered)
        found = territories.place(self.session, values["latitude"], values["longitude"])
        values = service.placed(values, found.area, found.neighborhood)
        author = one.representative if one.story.on_line and one.story.applied else REGISTRAR
        organization = Organization(
            id=one.id,
            number=service.next_numbers(self.session, 1)[0],
            registered_at=now(),
            captured_by=author,
            on_behalf=author == REGISTRAR,
            **standing.of_new(values),
        )
        service.apply(organization, values)
        self.session.add(organization)
        self._known[one.id] = organization
        service.flush(self.session)
        service.record(self.session, organization, "created", author)
        service.announce(self.session, [organization])

    def _do(self, organization_id: UUID, act: Callable[[Organization], object]) -> None:
        act(self._get(organization_id))

    def _get(self, organization_id: UUID) -> Organization:
        return self._known[organization_id]

    def _open(self, organization: Organization, kind: str) -> Any:
        return procedure_queries.open_one(self.session, organization.id, kind)

    def _submit(self, kind: str, by: Any, author: str, organization: Organization) -> None:
        for code in self.town.pack.registration.documents_for(kind, organization.organization_type):
            self._hand_in(code, author, organization)
        procedure.submit(self.session, organization, kind, by, author, consent=True)

    def _take(self, kind: str, organization: Organization) -> None:
        procedure.take(self.session, organization, self._open(organization, kind), "registrar", COLLEAGUE)

    def _ask(self, rng: Random, organization: Organization) -> None:
        defects = [tuple(defect) for defect in rng.sample(self.town.words["defects"], rng.choice((1, 2)))]
        application = self._open(organization, "registration")
        procedure.advance(
            self.session, organization, application, "needs_correction", "registrar", COLLEAGUE, defects=defects
        )

    def _correct(self, by: Any, author: str, organization: Organization) -> None:
        application = self._open(organization, "registration")
        if application.status == "needs_correction":
            procedure.resubmit(self.session, organization, application, by, author, "Se corrigió lo pedido.")

    def _accept(self, kind: str, organization: Organization) -> None:
        for document in document_queries.of_organization(self.session, organization.id):
            if document.status == "handed_in":
                documents.verify(self.session, organization, document, COLLEAGUE, None, None)
        application = self._open(organization, kind)
        procedure.advance(self.session, organization, application, "registered", "registrar", COLLEAGUE)

    def _move(
        self, after: str, by: Any, author: str | None, rng: Random, organization: Organization, *, act: bool = False
    ) -> None:
        day = service.today()
        until = day + timedelta(days=self.town.pack.registration.policy.suspension_days)
        procedure.move(
            self.session,
            organization,
            after,
            by,
            author,
            reasons=None if by == "calendar" else rng.choice(self.town.said_of("status_reasons", after)),
            act=procedure.Act(self.town.words["act"].format(number=rng.randint(1, 99)), day) if act else None,
            until=until if after == "suspended" else None,
        )

    # Documents and filings

    def _hand_in(self, code: str, author: str, organization: Organization) -> None:
        kind = documents.kind_of(code)
        text = f"{kind.name} de muestra\n{organization.name}\n{service.today():%d/%m/%Y}\n"
        kept = documents.store.take_in(io.BytesIO(text.encode()), f"{code}.txt", largest=100_000)
        days = documents.dated(kind, service.today(), None)
        by: Any = "registrar" if author == REGISTRAR else "representative"
        documents.hand_in(self.session, organization, kept, kind, days, by, author)

    def _filed(self, organization: Organization) -> None:
        renewal.filed(self.session, organization, service.today().year, REGISTRAR)

    def _filing(self, rng: Random, one: Organized) -> Iterable[Act]:
        age = rng.randint(6, 9)
        yield age, partial(self._submit, "annual_filing", "registrar", REGISTRAR)
        if one.story.filing != "submitted":
            yield age - 2, partial(self._take, "annual_filing")
        if one.story.filing == "accepted":
            yield age - 4, partial(self._accept, "annual_filing")

    def _certify(self, organization: Organization, *, revoked: bool) -> None:
        certificate = certificates.issue(self.session, organization, REGISTRAR, for_itself=False)
        if revoked:
            certificates.revoke(self.session, certificate, "Se emitió con un dato equivocado.", REGISTRAR)

    # Boards and verifications

    def _board(self, rng: Random, one: Organized) -> Iterable[Act]:
        today = self.town.today
        left = {"expiring": rng.randint(3, 85), "expired": -rng.randint(20, 500)}.get(
            one.story.office, rng.randint(150, 900)
        )
        ends_on = today + timedelta(days=left)
        starts_on = ends_on - timedelta(days=1095 if left > 100 else 730)
        recorded = max(2, min(one.entered - 5, (today - starts_on).days - 3))
        if one.story.papers:
            yield recorded, partial(self._recognize)
        yield recorded, partial(self._elect, rng, one.story.n, starts_on, ends_on)
        if one.story.office == "vacant":
            gone = rng.randint(2, min(120, recorded))
            yield min(gone, recorded), partial(self._resign, today - timedelta(days=gone + 1))

    def _recognize(self, organization: Organization) -> None:
        """The minutes that named the board."""
        self._hand_in("board_minutes", REGISTRAR, organization)
        for document in document_queries.of_organization(self.session, organization.id):
            if document.document_type == "board_minutes" and document.status == "handed_in":
                documents.verify(self.session, organization, document, COLLEAGUE, None, None)

    def _elect(self, rng: Random, n: int, starts_on: date, ends_on: date, organization: Organization) -> None:
        kind: Any = {"CO": "cc", "AR": "dni"}.get(self.town.pack.country, "other")
        posts = self.town.words["posts"][:3]
        members = [
            OfficeIn(
                post=post,
                signs=position == 0,
                person=PersonIn(
                    name=self.town.person(rng),
                    document_kind=kind,
                    document=f"9{n:05d}{position}",  # nobody's number
                ),
            )
            for position, post in enumerate(posts)
        ]
        act = self.town.words["act"].format(number=rng.randint(100, 999))
        body = BoardIn(starts_on=starts_on, ends_on=ends_on, act=act, members=members)
        mandates.elect(self.session, organization, body, REGISTRAR)

    def _resign(self, ended_on: date, organization: Organization) -> None:
        signing = [
            one for one in mandate_queries.not_over(self.session, organization.id, ended_on, ["direction"]) if one.signs
        ]
        for mandate in signing:
            body = EndIn(ended_on=max(ended_on, mandate.starts_on), why="resignation")
            mandates.end(self.session, organization, mandate, body, REGISTRAR)

    def _verifications(self, rng: Random, one: Organized) -> Iterable[Act]:
        low, high = _AGES[one.story.freshness]
        age = max(2, min(rng.randint(low, high), one.entered - 2))
        method: Any = rng.choice(("visit", "phone", "document"))
        fields: Any = ["identity", "location", "contact", *(["authorities"] if rng.random() < 0.5 else [])]
        yield age, partial(self._verify, fields, method, "confirmed" if rng.random() < 0.8 else "corrected", None)
        if one.body["area"] is not None and one.body["area"] in self._visited_areas() and rng.random() < 0.4:
            result: Any = "confirmed" if rng.random() < 0.7 else "not_confirmed"
            yield rng.randint(2, _SURVEY - 5), partial(self._visit, fields, result)

    def _verify(self, fields: Any, method: Any, result: Any, survey: UUID | None, organization: Organization) -> None:
        body = VerificationIn(fields=fields, method=method, result=result, survey_id=survey)
        verifications.verify(self.session, organization, body, REGISTRAR)

    def _visit(self, fields: Any, result: Any, organization: Organization) -> None:
        """In the campaign, which begins with its first visit."""
        if self._survey is None:
            body = SurveyIn(
                name="Relevamiento de muestra",
                areas=self._visited_areas(),
                starts_on=self.town.today - timedelta(days=_SURVEY),
                ends_on=self.town.today + timedelta(days=2 * _SURVEY),
            )
            self._survey = surveys.create(self.session, body, COLLEAGUE).id
        self._verify(fields, "visit", result, self._survey, organization)

    def _visited_areas(self) -> list[str]:
        return [area.code for area in self.town.pack.areas[:2]]

    def _show(self, rng: Random, one: Organized, organization: Organization) -> None:
        fields: Any = {
            "description",
            "purpose",
            *rng.sample(("address", "phone", "email", "website"), rng.randint(0, 4)),
        }
        point: Any = one.story.profile
        said = ProfileIn(description=rng.choice(self.town.words["descriptions"]), shown=fields, point=point)
        directory.set_profile(self.session, organization, None, said, one.representative, for_them=False)
