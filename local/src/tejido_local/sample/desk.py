"""What a desk does with requests: who has them, and the stories that are more than a request and its answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID

from sqlalchemy.orm import Session

from tejido_local.sample.town import Step, Town, sample_id
from tejido_requests.desk import completion, drafts, extensions, family, service
from tejido_requests.intake import service as intake
from tejido_requests.intake.schemas import Petitioner
from tejido_requests.models import ServiceRequest
from tejido_requests.search.schemas import ViewQuery
from tejido_requests.search.service import save_view
from tejido_requests.tracking.service import rate
from tejido_requests.work import service as work
from tejido_requests.work.schemas import OfficerIn
from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.jurisdiction import RequestType, Role

COUNTER = str(sample_id("user", "ventanilla"))
"""The account that files what does not come over the web. Nobody can sign in with it."""


@dataclass
class Case:
    """A request on its way through the use cases. `other` is a second matter in it, `officer` who works on it in `office`."""

    session: Session
    town: Town
    filing: intake.Filing
    kind: RequestType
    office: str
    other: tuple[str, str]
    officer: str
    id: UUID | None = field(default=None, init=False)

    @property
    def stored(self) -> ServiceRequest:
        return self.session.get_one(ServiceRequest, self.id)

    @property
    def by_mail(self) -> bool:
        return self.filing.petitioner is not None and self.filing.petitioner.email is not None

    def said(self, rng: Random, kind: str) -> str:
        """One of the sample's texts of this kind."""
        text: str = rng.choice(self.town.words[kind])
        return text

    def file(self) -> None:
        self.id = intake.file(self.session, self.filing).id

    def move(self, author: str) -> None:
        service.move_to_office(self.session, self.stored, self.office, author)

    def acknowledge(self) -> None:
        service.acknowledge(self.session, self.stored, now(), None if self.by_mail else self.officer)

    def assign(self) -> None:
        work.assign(self.session, self.stored, self.officer, self.town.head(self.office))

    def note(self, text: str) -> None:
        work.note(self.session, self.stored, text, self.officer)

    def answer(self, text: str) -> None:
        service.answer(self.session, self.stored, text, self.officer)

    def notify(self, evidence: str) -> None:
        author = None if self.by_mail else self.officer
        service.record_notification(self.session, self.stored, now(), evidence, author)

    def rate(self, stars: int, comment: str) -> None:
        rate(self.session, self.stored, stars, comment or None)


def prepare(session: Session, town: Town) -> Iterable[Step]:
    """The officers of each office, one of whom is away in some, and a search that the office shares."""
    began = town.now - timedelta(days=200)
    for place, office in enumerate(one.code for one in town.pack.offices):
        for n in (1, 2):
            email = f"{office}.{n}@tejido.example"
            away = town.today + timedelta(days=5) if n == 2 and place % 3 == 2 else None
            there = OfficerIn(present=n == 1 or place % 3 != 1, away_until=away, email=email)
            yield began, partial(work.set_officer, session, office, town.officer(office, n), there)
        head = Principal(town.head(office), frozenset({Role.HEAD}), frozenset({office}), headed=frozenset({office}))
        view = town.words["views"][place % len(town.words["views"])]
        query = ViewQuery.model_validate({"office": [office], **view["query"]})
        yield began, partial(save_view, session, head, view["name"], office, query)


def taken_up(case: Case, rng: Random, at: datetime) -> Iterable[Step]:
    """The citizen gets a receipt, most requests are given to somebody, of some something is noted."""
    if case.filing.channel not in ("web", "counter", "open311"):  # there the receipt is handed over
        yield at, case.acknowledge
    if rng.random() < 0.8:
        yield at, case.assign
    if rng.random() < 0.15:
        yield at + (case.town.now - at) * rng.uniform(0.01, 0.1), partial(case.note, case.said(rng, "notes"))


def proof_of_arrival(case: Case, rng: Random) -> str:
    """How it is known that an answer arrived."""
    words = case.town.words
    proof: str = rng.choice(words["proofs"]).format(number=rng.randrange(1000))
    if case.by_mail:
        proof = words["by_mail"]
    elif case.filing.petitioner is None:
        proof = words["published"]
    return proof


# Stories. Each gives its steps from the instant at which the request is on somebody's desk.


def _waits(case: Case, rng: Random, after: datetime, asked_on: datetime | None) -> Iterable[Step]:
    yield _asking(case, rng, max(after, asked_on) if asked_on else case.town.soon(rng, after, 2))


def _asking(case: Case, rng: Random, at: datetime) -> Step:
    what = case.said(rng, "missing")
    return at, lambda: completion.ask_for_completion(case.session, case.stored, what, None, case.officer)


def _lets_it_lapse(case: Case, rng: Random, after: datetime, asked_on: datetime | None) -> Iterable[Step]:
    yield from _waits(case, rng, after, asked_on)
    if asked_on is None:
        return
    reasons = case.said(rng, "tacit_withdrawals")
    head = case.town.head(case.office)
    decided = case.town.at_work(rng, case.town.today - timedelta(days=rng.randint(1, 6)))
    yield decided, lambda: completion.decide_withdrawal(case.session, case.stored, reasons, head, withdraw=True)


def _completes(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    asked = case.town.soon(rng, after, 2)
    yield _asking(case, rng, asked)
    text, by_hand = case.said(rng, "completions"), rng.random() < 0.3
    author, evidence = (case.officer, case.said(rng, "handed_in")) if by_hand else (None, None)
    yield (
        case.town.soon(rng, asked, 4),
        lambda: completion.complete(case.session, case.stored, text, None, author, evidence),
    )


def _extended(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    reasons, proof, share = case.said(rng, "extensions"), case.said(rng, "told_by"), rng.choice((0.5, 1))

    def extend() -> None:
        most = case.stored.term_extension_max or 1
        extensions.extend(
            *(case.session, case.stored, reasons, case.officer),
            added=max(1, int(most * share)),
            told_at=now(),
            evidence=proof,
        )

    yield case.town.soon(rng, after, 4), extend


def _retyped(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    others = [kind for kind in fitting(case.town, Story(0, _retyped)) if kind != case.kind and not kind.confidential]
    code, reasons = rng.choice(others).code, case.said(rng, "retypings")
    yield (
        case.town.soon(rng, after, 2),
        lambda: service.retype(case.session, case.stored, code, reasons, None, case.officer, by_supervisor=False),
    )


def _transferred(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    authority, reasons, proof = (case.said(rng, kind) for kind in ("other_authorities", "transfers", "handed_on"))
    yield (
        case.town.soon(rng, after),
        lambda: service.transfer(
            case.session, case.stored, authority, reasons, proof, None, case.officer, receiver_received_at=now()
        ),
    )


def _withdrawn(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    reasons, proof = case.said(rng, "withdrawals"), case.said(rng, "handed_in")
    yield (
        case.town.soon(rng, after, 5),
        lambda: completion.withdraw(case.session, case.stored, reasons, None, case.officer, proof),
    )


def _split(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    subject, reasons = case.other
    parts = [
        family.Part(case.filing.subject.removesuffix(f" {subject}")),
        family.Part(subject, reasons, case.town.pack.default_request_type.code),
    ]
    why = case.said(rng, "splittings")
    yield case.town.soon(rng, after, 2), lambda: family.split(case.session, case.stored, parts, why, case.officer)


def _merged(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    """Somebody else asks the same a little later."""
    town, number = case.town, rng.randrange(100)
    neighbour = Petitioner(name=town.person(rng), address=town.words["address"].format(number=number))
    filing = replace(
        case.filing,
        petitioner=neighbour,
        channel="web",
        verbal=False,
        office=case.office,
        attachments=[],
        received_at=None,
        filed_by=None,
        received_by=None,
        confidential=None,
        minor=False,
        priority=False,
        priority_reason=None,
    )
    twin = replace(case, filing=filing)
    filed, why = town.soon(rng, after, 1), case.said(rng, "mergings")
    yield filed, twin.file

    def merge() -> None:
        family.merge(case.session, [case.stored, twin.stored], why, case.officer, different_types=False)

    yield town.soon(rng, filed, 1), merge


def _answered_in_part(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    text = case.said(rng, "partial_answers")
    yield (
        case.town.soon(rng, after, 4),
        lambda: drafts.answer_at_once(case.session, case.stored, "partial", text, None, case.officer, head=False),
    )


def _drafted(stands: str, case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    text, remark = rng.choice(case.town.said_of("answers", case.kind.code)), case.said(rng, "remarks")
    yield from _draft(case, rng, after, stands, "answer", text, None, remark)


def _draft(
    case: Case, rng: Random, after: datetime, stands: str, kind: str, text: str, reasons: str | None, remark: str = ""
) -> Iterable[Step]:
    """A draft of an answer up to where it stands: written, submitted, returned, approved or issued."""
    found: list[UUID] = []
    head = case.town.head(case.office)

    def write() -> None:
        request = case.stored
        begun = drafts.template(request) if kind == "answer" else ""
        whole = f"{begun}\n\n{text}" if begun else text
        found.append(drafts.write(case.session, request, kind, whole, reasons, case.officer).id)

    def on(act: Callable[..., None], *more: str) -> None:
        draft = drafts.one(case.session, case.stored, found[0])
        assert draft is not None  # it was written before
        act(case.session, case.stored, draft, *more)

    written = case.town.soon(rng, after, 3)
    yield written, write
    if stands == "written":
        return
    submitted = case.town.soon(rng, written, 1)
    yield submitted, partial(on, drafts.submit, case.officer)
    decided = case.town.soon(rng, submitted, 2)
    if stands == "returned":
        yield decided, partial(on, drafts.send_back, remark, head)
    elif stands != "submitted":
        yield decided, partial(on, drafts.approve, head)
    if stands == "issued":
        yield case.town.soon(rng, decided, 1), partial(on, drafts.issue, case.officer)


def _refused(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    text, reasons = rng.choice(case.town.words["refusals"])
    steps = [*_draft(case, rng, after, "issued", "refusal", text, reasons)]
    yield from steps
    yield case.town.soon(rng, steps[-1][0], 2), partial(case.notify, proof_of_arrival(case, rng))


def _disputed(case: Case, rng: Random, after: datetime, _: datetime | None) -> Iterable[Step]:
    answered = case.town.soon(rng, after, 5)
    yield answered, partial(case.answer, rng.choice(case.town.said_of("answers", case.kind.code)))
    notified = case.town.soon(rng, answered, 2)
    yield notified, partial(case.notify, proof_of_arrival(case, rng))
    reasons = case.said(rng, "disputes")
    yield (
        case.town.soon(rng, notified, 5),
        lambda: family.reopen(case.session, case.stored, reasons, None, channel="web"),
    )


@dataclass(frozen=True)
class Story:
    """What happens to so many requests.

    They came in as those of `outcome` do; or else so that this many days, negative once they have passed, are left to the citizen to
    complete them. `more` is how many requests each brings with it.
    """

    times: int
    happens: Callable[[Case, Random, datetime, datetime | None], Iterable[Step]]
    outcome: str = "open"
    days_left: Callable[[int], bool] | None = None
    more: int = 0
    second_matter: bool = False
    extendable: bool = False


STORIES = {
    "waiting": Story(8, _waits, days_left=lambda days: days >= 6),
    "waiting_for_long": Story(5, _waits, days_left=lambda days: 0 <= days <= 4),
    "lapsed": Story(5, _waits, days_left=lambda days: -12 <= days <= -2),
    "tacitly_withdrawn": Story(5, _lets_it_lapse, days_left=lambda days: -40 <= days <= -12),
    "completed": Story(8, _completes, "due_soon"),
    "extended": Story(6, _extended, "due_soon", extendable=True),
    "retyped": Story(6, _retyped),
    "transferred": Story(6, _transferred, "on_time"),
    "withdrawn": Story(6, _withdrawn, "on_time"),
    "split": Story(6, _split, more=2, second_matter=True),
    "merged": Story(6, _merged, more=1),
    "answered_in_part": Story(6, _answered_in_part),
    "draft_written": Story(3, partial(_drafted, "written"), "due_soon"),
    "draft_submitted": Story(6, partial(_drafted, "submitted"), "due_soon"),
    "draft_returned": Story(3, partial(_drafted, "returned"), "due_soon"),
    "draft_approved": Story(3, partial(_drafted, "approved"), "due_soon"),
    "refused": Story(6, _refused, "on_time"),
    "disputed": Story(6, _disputed, "answered", more=1),
}


def fitting(town: Town, story: Story) -> list[RequestType]:
    """The types of request to which a story can happen: with a term, filed by anyone."""
    found = []
    for kind in town.pack.request_types:
        if kind.filed_by == "anyone" and kind.due_date == "computed":
            term = town.pack.term(kind.code, town.today)
            if term.extension_max_added is not None or not story.extendable:
                found.append(kind)
    return found
