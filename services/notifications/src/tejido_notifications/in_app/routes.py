"""HTTP only: parse, call one use case, return the model."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from tejido_notifications.db import read, tx
from tejido_notifications.in_app import queries, schemas, service, streams
from tejido_notifications.models import InAppMessage
from tejido_shared.auth import Principal, require
from tejido_shared.idempotency import IdempotencyKey
from tejido_shared.pages import Page, page_of
from tejido_shared.problems import NotFound

router = APIRouter(prefix="/v1/me/messages", tags=["in-app messages"])

Owner = Annotated[Principal, Depends(require())]


@router.get("", summary="The caller's messages, the newest first")
def list_messages(asked: Annotated[schemas.InAppQuery, Query()], principal: Owner) -> Page[schemas.InAppMessageOut]:
    """Those to the caller's account, to its offices, and to the head of the offices it heads."""
    with read() as session:
        return page_of(
            session,
            queries.in_boxes(service.boxes_of(principal), unread=asked.unread),
            asked,
            schemas.InAppMessageOut.model_validate,
            sort=asked.sort,
            orders=queries.SORTABLE,
            key=InAppMessage.id,
        )


@router.get("/count", summary="How many of the caller's messages are unread")
def count_messages(principal: Owner) -> schemas.Unread:
    with read() as session:
        return schemas.Unread(unread=queries.unread(session, service.boxes_of(principal)))


@router.get("/stream", summary="New messages as they come", response_class=EventSourceResponse)
async def stream_messages(
    principal: Owner,
    after: Annotated[
        schemas.Sequence | None, Query(description="Begin behind this message; without it, with what comes from now on")
    ] = None,
    last_event_id: Annotated[
        schemas.Sequence | None,
        Header(alias="Last-Event-ID", description="As browsers send it when they connect again"),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `id` is the message's number, `data` the message. Ends when the token is no longer taken; whoever connects
    again with `Last-Event-ID` misses none and gets none twice."""
    begin = after if last_event_id is None else last_event_id
    async for message in streams.messages(service.boxes_of(principal), begin, principal.expires_at):
        yield ServerSentEvent(data=message, id=str(message.sequence), event="message")


@router.post("/read-all", summary="Mark the messages that were seen as read")
def read_all(seen: schemas.UpTo, once: IdempotencyKey, principal: Owner) -> schemas.Unread:
    boxes = service.boxes_of(principal)
    with tx() as session:

        def act() -> schemas.Unread:
            service.read_all(session, boxes, seen.up_to)
            return schemas.Unread(unread=queries.unread(session, boxes))

        return once.run(session, schemas.Unread, act)


@router.post("/{message_id}/read", summary="Mark a message as read")
def read_message(message_id: UUID, once: IdempotencyKey, principal: Owner) -> schemas.InAppMessageOut:
    with tx() as session:

        def act() -> schemas.InAppMessageOut:
            message = queries.one(session, service.boxes_of(principal), message_id)
            if message is None:
                raise NotFound
            service.read(session, message)
            return schemas.InAppMessageOut.model_validate(message)

        return once.run(session, schemas.InAppMessageOut, act)
