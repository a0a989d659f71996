"""The desk over HTTP: parse, call one use case, return the model."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy import func
from sqlalchemy.orm import Session

from tejido_requests.auth import Head, Officer, Reader
from tejido_requests.db import read, tx
from tejido_requests.desk import completion, drafts, extensions, family, schemas, service, views
from tejido_requests.models import Draft, ServiceRequest
from tejido_requests.search import queries
from tejido_requests.search.schemas import RequestSummary
from tejido_requests.search.views import summary, summary_fields
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Principal
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem, Refused

router = APIRouter(prefix="/v1")

ONE = "/service-requests/{request_id}"


def found(request: ServiceRequest | None) -> ServiceRequest:
    if request is None:
        raise NotFound
    return request


def own(caller: Principal, request: ServiceRequest | None) -> ServiceRequest:
    """The request, for who works in its office: an auditor who is an officer elsewhere sees it and changes nothing."""
    request = found(request)
    if request.office not in caller.offices and not caller.has(Role.ADMINISTRATOR):
        raise NotForThem("not_of_the_office")
    return request


def headed(caller: Principal, request: ServiceRequest) -> ServiceRequest:
    """The request, for the head of its office: a head of another office who works in this one is an officer here."""
    if not caller.heads(request.office):
        raise NotForThem("only_heads")
    return request


def acted(
    once: IdempotencyKey,
    caller: Principal,
    request_id: UUID,
    act: Callable[[Session, ServiceRequest], ServiceRequest | None],
) -> RequestSummary:
    """One act on one request that the caller may see, locked, in one transaction and safe to repeat.

    What comes back is the request, or the other one that the act returns.
    """
    with tx() as session:

        def run() -> RequestSummary:
            request = found(queries.one(session, caller, request_id, lock=True))
            return summary(act(session, request) or request)

        return once.run(session, RequestSummary, run)


def worked(
    once: IdempotencyKey,
    caller: Principal,
    request_id: UUID,
    act: Callable[[Session, ServiceRequest], ServiceRequest | None],
) -> RequestSummary:
    """`acted`, for who works in the request's office."""
    return acted(once, caller, request_id, lambda session, request: act(session, own(caller, request)))


@router.get(ONE, tags=["service requests"], summary="One request")
def read_request(request_id: UUID, caller: Reader, response: Response) -> schemas.RequestOut:
    with read() as session:
        request = found(queries.one(session, caller, request_id))
        response.headers["ETag"] = etag(request)
        return views.whole(session, request)


@router.patch(ONE, tags=["service requests"], summary="Hand a request to another office")
def change_request(
    request_id: UUID, body: schemas.RequestPatch, caller: Officer, response: Response, if_match: IfMatch = None
) -> schemas.RequestOut:
    with tx() as session:
        request = own(caller, queries.one(session, caller, request_id, lock=True))
        check_match(if_match, request)
        service.move_to_office(session, request, body.office, caller.subject)
        response.headers["ETag"] = etag(request)
        return views.whole(session, request)


# Completing


@router.post(f"{ONE}/completion-requests", tags=["acts"], summary="Ask the citizen to complete the request")
def ask_for_completion(
    request_id: UUID, body: schemas.CompletionRequestIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    """The clock rests from that day on, and the citizen has the time the law gives to complete (Ley 1755/2015 art. 17)."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.ask_for_completion(s, request, body.what, body.at, caller.subject, body.evidence),
    )


@router.post(
    f"{ONE}/completion-requests/withdrawal", tags=["acts"], summary="Do without what the citizen was asked for"
)
def withdraw_completion(
    request_id: UUID, body: schemas.ReasonedIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.withdraw_completion(s, request, body.reasons, body.at, caller.subject),
    )


@router.post(
    f"{ONE}/completion-requests/extension", tags=["acts"], summary="Give the citizen once more time to complete"
)
def extend_completion(
    request_id: UUID, body: schemas.ReasonedIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.extend_completion(s, request, body.reasons, body.at, caller.subject),
    )


@router.post(f"{ONE}/completion", tags=["acts"], summary="Record that the citizen completed the request")
def complete(request_id: UUID, body: schemas.CompletionIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.complete(s, request, body.text, body.at, caller.subject, body.evidence),
    )


# Withdrawal


@router.get("/withdrawal-proposals", tags=["acts"], summary="Requests whose citizen let the time to complete pass")
def list_withdrawal_proposals(
    asked: Annotated[schemas.ProposalQuery, Query()], caller: Reader
) -> Page[schemas.WithdrawalProposal]:
    """They are proposed, never withdrawn by themselves: a head decides each."""
    today = queries.today()
    with read() as session:
        return page_of(
            session,
            queries.visible_to(caller).where(
                ServiceRequest.status == "paused", ServiceRequest.citizen_due_date < today
            ),
            asked,
            lambda r: schemas.WithdrawalProposal(**summary_fields(r), citizen_due_date=r.citizen_due_date),
            sort=asked.sort,
            orders={"citizen_due_date": func.coalesce(ServiceRequest.citizen_due_date, today)},  # pages need no nulls
            key=ServiceRequest.id,
        )


@router.post(f"{ONE}/withdrawal-decision", tags=["acts"], summary="Decide whether a request is tacitly withdrawn")
def decide_withdrawal(
    request_id: UUID, body: schemas.WithdrawalDecisionIn, once: IdempotencyKey, caller: Head
) -> RequestSummary:
    """Only after the citizen let the time to complete pass. The citizen is told, and may ask for reconsideration."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.decide_withdrawal(
            s, headed(caller, request), body.reasons, caller.subject, withdraw=body.withdraw
        ),
    )


@router.post(f"{ONE}/withdrawal", tags=["acts"], summary="Record that the citizen withdraws the request")
def withdraw(request_id: UUID, body: schemas.WithdrawalIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: completion.withdraw(s, request, body.reasons, body.at, caller.subject, body.evidence),
    )


# Term, type and competence


@router.post(f"{ONE}/acknowledgement", tags=["acts"], summary="Record that the citizen has the receipt")
def acknowledge(
    request_id: UUID, body: schemas.AcknowledgementIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    """For a receipt that was handed over or sent in another way than by mail. Once it is acknowledged, it changes nothing."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: service.acknowledge_by_hand(s, request, body.at, body.evidence, caller.subject),
    )


@router.post(f"{ONE}/extensions", tags=["acts"], summary="Extend the term")
def extend(request_id: UUID, body: schemas.ExtensionIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """The due date moves when there is proof that the citizen was told in time: at once with evidence, else when the mail arrives."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: extensions.extend(
            s,
            request,
            body.reasons,
            caller.subject,
            added=body.added,
            due_date=body.due_date,
            told_at=body.told_at,
            evidence=body.evidence,
        ),
    )


@router.post(f"{ONE}/retype", tags=["acts"], summary="Correct the type of a request")
def retype(request_id: UUID, body: schemas.RetypeIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """The true type's term runs from the same receipt. Once overdue, only a supervisor or head corrects it to a longer one."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: service.retype(
            s,
            request,
            body.request_type,
            body.reasons,
            body.at,
            caller.subject,
            by_supervisor=caller.has(Role.SUPERVISOR) or caller.heads(request.office),
            answers=body.answers,
        ),
    )


@router.post(f"{ONE}/transfers", tags=["acts"], summary="Transfer a request to the authority that must answer")
def transfer(request_id: UUID, body: schemas.TransferIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: service.transfer(
            s,
            request,
            body.authority,
            body.reasons,
            body.evidence,
            body.at,
            caller.subject,
            body.receiver_received_at,
        ),
    )


# Answering


@router.post(f"{ONE}/answer", tags=["acts"], summary="Issue the answer, a part of it, or a refusal")
def answer_request(request_id: UUID, body: schemas.AnswerIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """The answer is mailed to the petitioner. The legal clock stops when it arrives, with proof, not when it is issued.

    A part of the answer stops nothing. What a head is to approve is issued as a draft.
    """
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: drafts.answer_at_once(
            s, request, body.kind, body.text, body.reasons, caller.subject, head=caller.heads(request.office)
        ),
    )


@router.post(f"{ONE}/notification", tags=["acts"], summary="Record by hand that the answer arrived")
def record_notification(
    request_id: UUID, body: schemas.NotificationIn, once: IdempotencyKey, caller: Officer
) -> RequestSummary:
    """For a petitioner without e-mail, or whose mail came back: instant and evidence of the notification.

    After a mail that had been accepted came back, it is kept beside that: the outcome of the clock stays.
    """
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: service.record_notification(s, request, body.notified_at, body.evidence, caller.subject),
    )


# Drafts


def _drafted(
    once: IdempotencyKey,
    caller: Principal,
    request_id: UUID,
    response: Response,
    act: Callable[[Session, ServiceRequest], Draft],
) -> schemas.DraftOut:
    """One act on a draft; the tag that changing it then takes comes with it."""
    with tx() as session:

        def run() -> schemas.DraftOut:
            request = own(caller, queries.one(session, caller, request_id, lock=True))
            draft = act(session, request)
            session.flush()
            return views.draft_out(draft)

        told = once.run(session, schemas.DraftOut, run)
    response.headers["ETag"] = etag(told)
    return told


def _draft(session: Session, request: ServiceRequest, draft_id: UUID) -> Draft:
    draft = drafts.one(session, request, draft_id)
    if draft is None:
        raise NotFound
    return draft


@router.get(f"{ONE}/drafts", tags=["drafts"], summary="The drafts of a request")
def list_drafts(
    request_id: UUID, asked: Annotated[schemas.DraftQuery, Query()], caller: Reader
) -> Page[schemas.DraftOut]:
    with read() as session:
        request = found(queries.one(session, caller, request_id))
        return page_of(
            session,
            drafts.of(request),
            asked,
            views.draft_out,
            sort=asked.sort,
            orders={"written_at": Draft.written_at},
            key=Draft.id,
        )


@router.post(f"{ONE}/drafts", status_code=201, tags=["drafts"], summary="Write a draft")
def write_draft(
    request_id: UUID, body: schemas.DraftIn, once: IdempotencyKey, caller: Officer, response: Response
) -> schemas.DraftOut:
    return _drafted(
        once,
        caller,
        request_id,
        response,
        lambda s, request: drafts.write(s, request, body.kind, body.text, body.reasons, caller.subject),
    )


@router.patch(f"{ONE}/drafts/{{draft_id}}", tags=["drafts"], summary="Change a draft")
def rewrite_draft(
    request_id: UUID,
    draft_id: UUID,
    body: schemas.DraftPatch,
    caller: Officer,
    response: Response,
    if_match: IfMatch = None,
) -> schemas.DraftOut:
    with tx() as session:
        request = own(caller, queries.one(session, caller, request_id, lock=True))
        draft = _draft(session, request, draft_id)
        check_match(if_match, draft)
        drafts.rewrite(session, request, draft, body.text, caller.subject)
        response.headers["ETag"] = etag(draft)
        return views.draft_out(draft)


@router.post(f"{ONE}/drafts/{{draft_id}}/submit", tags=["drafts"], summary="Put a draft before the head")
def submit_draft(
    request_id: UUID, draft_id: UUID, once: IdempotencyKey, caller: Officer, response: Response
) -> schemas.DraftOut:
    def act(session: Session, request: ServiceRequest) -> Draft:
        draft = _draft(session, request, draft_id)
        drafts.submit(session, request, draft, caller.subject)
        return draft

    return _drafted(once, caller, request_id, response, act)


@router.post(f"{ONE}/drafts/{{draft_id}}/approve", tags=["drafts"], summary="Approve a draft")
def approve_draft(
    request_id: UUID, draft_id: UUID, once: IdempotencyKey, caller: Head, response: Response
) -> schemas.DraftOut:
    """By a head other than who wrote it."""

    def act(session: Session, request: ServiceRequest) -> Draft:
        draft = _draft(session, request, draft_id)
        drafts.approve(session, headed(caller, request), draft, caller.subject)
        return draft

    return _drafted(once, caller, request_id, response, act)


@router.post(f"{ONE}/drafts/{{draft_id}}/return", tags=["drafts"], summary="Send a draft back")
def return_draft(
    request_id: UUID, draft_id: UUID, body: schemas.RemarkIn, once: IdempotencyKey, caller: Head, response: Response
) -> schemas.DraftOut:
    def act(session: Session, request: ServiceRequest) -> Draft:
        draft = _draft(session, request, draft_id)
        drafts.send_back(session, headed(caller, request), draft, body.remark, caller.subject)
        return draft

    return _drafted(once, caller, request_id, response, act)


@router.post(f"{ONE}/drafts/{{draft_id}}/issue", tags=["drafts"], summary="Issue an approved draft")
def issue_draft(request_id: UUID, draft_id: UUID, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: drafts.issue(s, request, _draft(s, request, draft_id), caller.subject),
    )


# Requests that come of one another


@router.post(f"{ONE}/reopen", status_code=201, tags=["acts"], summary="Reopen a request whose answer is disputed")
def reopen(request_id: UUID, body: schemas.ReopenIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """A new request with a clock of its own, linked to the first, whose outcome stays. Returns the new one."""
    return worked(
        once,
        caller,
        request_id,
        lambda s, request: family.reopen(s, request, body.reasons, caller.subject, due_date=body.due_date),
    )


@router.post(f"{ONE}/split", tags=["acts"], summary="Split a request into several")
def split(request_id: UUID, body: schemas.SplitIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """Each child was received when its parent was, and has an office, type and clock of its own."""
    parts = [family.Part(**child.model_dump()) for child in body.children]
    return worked(
        once, caller, request_id, lambda s, request: family.split(s, request, parts, body.reasons, caller.subject)
    )


@router.post(f"{ONE}/merge", tags=["acts"], summary="Merge duplicates")
def merge(request_id: UUID, body: schemas.MergeIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    """The earliest received survives, with its clock, and answers the petitioners of all. Returns it."""
    ids = {request_id, *body.others}
    if len(ids) < 2:
        raise Refused("merge_with_itself", "others")
    with tx() as session:

        def run() -> RequestSummary:
            requests = family.locked(session, queries.visible_to(caller), sorted(ids))
            if len(requests) < len(ids):
                raise NotFound
            for request in requests:
                own(caller, request)
            return summary(
                family.merge(session, requests, body.reasons, caller.subject, different_types=body.different_types)
            )

        return once.run(session, RequestSummary, run)


@router.post(f"{ONE}/links", tags=["acts"], summary="Link a request to a project or an organization")
def link(request_id: UUID, body: schemas.LinksIn, once: IdempotencyKey, caller: Officer) -> RequestSummary:
    links = body.model_dump(exclude_unset=True)
    if not links:
        raise Refused("nothing_to_link", "project_id")
    return worked(once, caller, request_id, lambda s, request: family.link(s, request, links, caller.subject))
