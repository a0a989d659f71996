"""`Idempotency-Key` on creating posts: the same key and body get the same answer, however often they come."""

import hashlib
import re
from collections.abc import Callable
from typing import Annotated, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tejido_shared.auth import Principal
from tejido_shared.clock import now
from tejido_shared.refusals import Refused
from tejido_shared.seam import idempotency

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
Answer = TypeVar("Answer", bound=BaseModel)


class Once:
    """The key of one request. Without a key, `run` just runs.

    The answer is remembered for 48 hours in the transaction that made it, so an answer without its effect, or an effect without its
    answer, cannot be. Two at the same time: the second waits for the first. Remembered answers are encrypted.
    """

    def __init__(self, request: Request, key: str | None, request_hash: str) -> None:
        self._request, self._key, self._hash = request, key, request_hash

    def run(self, session: Session, answer_type: type[Answer], act: Callable[[], Answer]) -> Answer:
        """Runs `act` in the session's transaction, or returns what it returned the first time. 422 if the key came with another body."""
        if self._key is None:
            return act()
        caller: Principal | None = self._request.state.caller  # put there by the route's guard
        client = caller.subject if caller else ""
        if not client and not _UUID.fullmatch(self._key):
            # Callers without an account share one space of keys: only a key that nobody guesses is a person's own.
            raise Refused("key_too_weak", "header.Idempotency-Key")
        mine = (idempotency.c.client == client) & (idempotency.c.key == self._key)
        claim = insert(idempotency).values(client=client, key=self._key, request_hash=self._hash, created_at=now())
        if session.execute(claim.on_conflict_do_nothing().returning(idempotency.c.key)).first() is None:
            first = session.execute(sa.select(idempotency.c.request_hash, idempotency.c.response).where(mine)).one()
            if first.request_hash != self._hash:
                raise Refused("key_reused", "header.Idempotency-Key")
            return answer_type.model_validate_json(first.response)
        answer = act()
        session.execute(sa.update(idempotency).where(mine).values(response=answer.model_dump_json()))
        return answer


async def _once(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=200,
            description="Your own name for this request, repeated when you repeat it; a UUID if you have no account",
        ),
    ] = None,
) -> Once:
    if key is None:
        return Once(request, None, "")
    said = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).hexdigest()
    return Once(request, key, said)


IdempotencyKey = Annotated[Once, Depends(_once)]
