"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from tejido_shared.jurisdiction import Email, Jurisdiction, load
from tejido_shared.settings import ServiceSettings


class NotificationsSettings(ServiceSettings):
    """`NOTIFICATIONS_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_", extra="ignore")

    smtp_host: str = Field("127.0.0.1", description="The municipality's outgoing mail server")
    smtp_port: int = Field(25, gt=0, lt=65536)
    smtp_username: str = Field("", description="No login when empty")
    smtp_password: SecretStr = SecretStr("")
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="`starttls` and `tls` check the server's certificate"
    )
    smtp_sender: Email | Literal[""] = Field("", description="Address in From; the pack's entity.email when empty")
    smtp_timeout: float = Field(30.0, gt=0, description="Seconds to wait for the mail server's next word")
    smtp_connections: int = Field(
        1,
        gt=0,
        description=(
            "Senders at once, over all workers. Fewer than worker processes, or a slow mail server holds up incoming events"
        ),
    )
    lease: float = Field(
        330.0,
        gt=0,
        description="Seconds after which a message that was being sent is taken up again; longer than a task may run (300)",
    )


@cache
def settings() -> NotificationsSettings:
    return NotificationsSettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)
