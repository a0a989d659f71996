"""HTTP only: parse, call one use case, return the model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Form, Path, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from tejido_notifications.channels import web_push
from tejido_notifications.contacts import queries, schemas, service, verification, views
from tejido_notifications.db import read, tx
from tejido_notifications.models import Contact
from tejido_notifications.settings import settings
from tejido_shared.api import IfMatch, check_match, etag
from tejido_shared.auth import Anybody, Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.jurisdiction import Role
from tejido_shared.problems import NotFound
from tejido_shared.refusals import NotForThem

log = structlog.get_logger()
router = APIRouter(prefix="/v1")
OFFICIALS = (Role.REGISTRAR, Role.OFFICER, Role.HEAD)
ChannelName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{1,30}$", description="One of the contact's `channels`")]


@dataclass(frozen=True)
class Whose:
    """Whose contact is meant, and by whom. `owner`: whether the caller is that person or represents that organization."""

    kind: str
    ref: str
    name: str
    caller: Principal
    owner: bool = True
    organization: UUID | None = None


def _mine(caller: Annotated[Principal, Depends(require())]) -> Whose:
    return Whose("person", caller.subject, caller.name, caller)


def _of_organization(
    organization_id: UUID, caller: Annotated[Principal, Depends(require(Role.ORGANIZATION_REPRESENTATIVE, *OFFICIALS))]
) -> Whose:
    owner = caller.represents(organization_id)
    if not owner and not caller.has(*OFFICIALS):
        raise NotForThem("only_own_organization")
    return Whose("organization", str(organization_id), "", caller, owner, organization_id)


def _locked(session: Session, whose: Whose) -> Contact:
    """The contact, made if need be. Officials make none for an organization that nobody knows."""
    name = whose.name
    if whose.organization is not None:
        known = queries.organization_name(session, whose.organization)
        if known is None and not whose.owner:
            raise NotFound
        name = known or ""
    return service.ensure(session, whose.kind, whose.ref, name)


def _changed(
    whose: Whose, response: Response, act: Callable[[Session, Contact], None], change: str, **of: str
) -> schemas.ContactOut:
    """One act on the contact, locked. All of them may be repeated: the second time changes nothing."""
    with tx() as session:
        contact = _locked(session, whose)
        act(session, contact)
        response.headers["ETag"] = etag(contact)
        out = views.contact_out(session, contact, owner=whose.owner)
    _log(whose, change, **of)
    return out


def _log(whose: Whose, change: str, **of: str) -> None:
    """What officials change in an organization's contact; never an address."""
    if not whose.owner:
        log.info("contact_changed", organization_id=whose.ref, subject=whose.caller.subject, change=change, **of)


@router.get("/push-key", tags=["contacts"], summary="What a page subscribes its browser to web push with")
def read_push_key(_: Anybody) -> schemas.PushKeyOut:
    """Its subscription is then the address of the channel `web_push`."""
    asked = settings()
    key = web_push.public_key(asked) if asked.web_push_key.get_secret_value() else None
    return schemas.PushKeyOut(application_server_key=key)


def _add_routes(path: str, tag: str, find: Callable[..., Whose]) -> None:
    """The same for a person and for an organization."""
    one = f"{path}/addresses/{{channel}}"

    @router.get(path, tags=[tag], summary="Addresses, and how messages are wanted")
    def read_contact(whose: Annotated[Whose, Depends(find)], response: Response) -> schemas.ContactOut:
        """Whole for their owner; officials see addresses masked."""
        with read() as session:
            contact = queries.contact(session, whose.kind, whose.ref) or views.nobody()
            response.headers["ETag"] = etag(contact)
            return views.contact_out(session, contact, owner=whose.owner)

    @router.put(path, tags=[tag], summary="Say how messages are wanted")
    def set_preferences(
        body: schemas.PreferencesIn,
        whose: Annotated[Whose, Depends(find)],
        response: Response,
        if_match: IfMatch = None,
    ) -> schemas.ContactOut:
        with tx() as session:
            before = queries.contact(session, whose.kind, whose.ref, lock=True) or views.nobody()
            check_match(if_match, before)
            contact = _locked(session, whose)
            service.prefer(session, contact, **body.model_dump())
            response.headers["ETag"] = etag(contact)
            out = views.contact_out(session, contact, owner=whose.owner)
        _log(whose, "preferences")
        return out

    @router.put(one, tags=[tag], summary="Give an address")
    def set_address(
        channel: ChannelName, body: schemas.AddressIn, whose: Annotated[Whose, Depends(find)], response: Response
    ) -> schemas.ContactOut:
        """Nothing is sent to it before it is verified; until then the one before stays in use."""
        return _changed(
            whose,
            response,
            lambda s, contact: service.set_address(s, contact, channel, body.value, body.rank, owner=whose.owner),
            "address_given",
            channel=channel,
        )

    @router.delete(one, tags=[tag], summary="Take an address away")
    def remove_address(
        channel: ChannelName, whose: Annotated[Whose, Depends(find)], response: Response
    ) -> schemas.ContactOut:
        return _changed(
            whose,
            response,
            lambda s, contact: service.remove_address(s, contact, channel),
            "address_removed",
            channel=channel,
        )

    @router.post(f"{one}/code", tags=[tag], summary="Send a code to the address, by its own channel")
    def send_code(
        channel: ChannelName, once: IdempotencyKey, whose: Annotated[Whose, Depends(find)]
    ) -> schemas.ContactOut:
        """It is good for 15 minutes and five tries. A minute has to pass before the next one; 409 before."""
        with tx() as session:

            def act() -> schemas.ContactOut:
                contact = _locked(session, whose)
                verification.send_code(session, contact, channel)
                return views.contact_out(session, contact, owner=whose.owner)

            return once.run(session, schemas.ContactOut, act)

    @router.post(f"{one}/verify", tags=[tag], summary="Prove with the code that the address is yours")
    def verify(
        channel: ChannelName, body: schemas.CodeIn, whose: Annotated[Whose, Depends(find)], response: Response
    ) -> schemas.ContactOut:
        """The right code may be sent again, so it needs no Idempotency-Key."""
        with tx() as session:
            contact = _locked(session, whose)
            refused = verification.verify(session, contact, channel, body.code)
            response.headers["ETag"] = etag(contact)
            out = views.contact_out(session, contact, owner=whose.owner)
        if refused is not None:
            raise refused
        _log(whose, "address_verified", channel=channel)
        return out

    @router.put(f"{one}/opt-outs/{{category}}", tags=[tag], summary="No more messages of a category there")
    def opt_out(
        channel: ChannelName, category: schemas.Category, whose: Annotated[Whose, Depends(find)], response: Response
    ) -> schemas.ContactOut:
        """409 for legal notices: the law wants them to be sent."""
        how = "account" if whose.owner else "officer"
        return _changed(
            whose,
            response,
            lambda s, contact: service.opt_out(s, contact, channel, category, how),
            "opt_out",
            channel=channel,
            category=category,
        )

    @router.delete(f"{one}/opt-outs/{{category}}", tags=[tag], summary="Messages of a category are wanted again")
    def opt_in(
        channel: ChannelName, category: schemas.Category, whose: Annotated[Whose, Depends(find)], response: Response
    ) -> schemas.ContactOut:
        """403 for officials: only who said that they are not wanted says that they are."""
        return _changed(
            whose,
            response,
            lambda s, contact: service.opt_in(s, contact, channel, category, owner=whose.owner),
            "opt_in",
            channel=channel,
            category=category,
        )


_add_routes("/me/contact", "my contact", _mine)
_add_routes("/organizations/{organization_id}/contact", "contacts of organizations", _of_organization)


@router.post(
    "/organizations/{organization_id}/contact/addresses/{channel}/confirmation",
    tags=["contacts of organizations"],
    summary="Vouch for an organization's address",
)
def confirm(
    organization_id: UUID,
    channel: ChannelName,
    body: schemas.ConfirmationIn,
    once: IdempotencyKey,
    caller: Annotated[Principal, Depends(require(*OFFICIALS))],
) -> schemas.ContactOut:
    """For officials who have seen a document that proves it. Who vouched, and by what, is kept.

    They name the address that the document shows; 422 if another one waits to be verified.
    """
    whose = Whose("organization", str(organization_id), "", caller, owner=False, organization=organization_id)
    with tx() as session:

        def act() -> schemas.ContactOut:
            contact = _locked(session, whose)
            verification.vouch(session, contact, channel, body.value, body.evidence, caller.subject)
            return views.contact_out(session, contact, owner=False)

        out = once.run(session, schemas.ContactOut, act)
    _log(whose, "address_vouched_for", channel=channel)
    return out


# One click

Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,64}$", description="From the link in a message")]
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


@router.get("/unsubscribe/{token}", tags=["unsubscribe"], summary="A page with a button", response_class=HTMLResponse)
def ask_to_unsubscribe(token: Token, _: Anybody) -> HTMLResponse:
    """Changes nothing: programs that look for malice follow the links of a mail."""
    with read() as session:
        address = queries.by_token(session, token)
        if address is None:
            raise NotFound
        return HTMLResponse(views.unsubscribe_page(address, done=False), headers=_HEADERS)


@router.post("/unsubscribe/{token}", tags=["unsubscribe"], summary="No more calls", response_class=HTMLResponse)
def unsubscribe(
    token: Token,
    _: Anybody,
    said: Annotated[Literal["One-Click"], Form(alias="List-Unsubscribe")],  # noqa: ARG001 - RFC 8058, section 3.2
) -> HTMLResponse:
    """What a mail program sends for its reader (RFC 8058), and the button of the page. The same answer the second time."""
    with tx() as session:
        address = service.unsubscribe(session, token)
        if address is None:
            raise NotFound
        return HTMLResponse(views.unsubscribe_page(address, done=True), headers=_HEADERS)
