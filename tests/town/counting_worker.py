"""A subscriber that counts: each event it handles leaves one row, so an effect that was lost or doubled can be seen.

It is the real worker with the real inbox; only the handler is made for the test. Run by `celery -A counting_worker worker`.
"""

import os
import signal
import time
from functools import cache

import sqlalchemy as sa
from pydantic_settings import SettingsConfigDict
from sqlalchemy.orm import Session

from tejido_shared import seam
from tejido_shared.contracts import Envelope, RequestBecameOverdue
from tejido_shared.db import Database, new_metadata
from tejido_shared.settings import ServiceSettings
from tejido_shared.worker import make_worker


class CountingSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_", extra="ignore")


@cache
def settings() -> CountingSettings:
    return CountingSettings()


database = Database(settings)
metadata = new_metadata()
effect = sa.Table(
    "effect",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
)
healed = sa.Table("healed", metadata, sa.Column("number", sa.Text, primary_key=True))


def create_tables() -> None:
    with database.engine.begin() as connection:
        seam.metadata.create_all(connection)
        metadata.create_all(connection)


def count(session: Session, event: RequestBecameOverdue, envelope: Envelope) -> None:
    """Counts; `poison` fails until it is healed, `killer` takes the worker's process with it."""
    if (
        event.number in ("poison", "killer")
        and session.get_bind()
        and not session.scalar(sa.select(healed.c.number).where(healed.c.number == event.number))
    ):
        if event.number == "killer":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("this event cannot be handled")
    time.sleep(float(os.environ.get("COUNTING_PAUSE", "0")))
    session.execute(sa.insert(effect).values(event_id=envelope.id, pid=os.getpid()))


HANDLERS = {RequestBecameOverdue: count}
app = make_worker("notifications", database, settings(), HANDLERS)
