"""The environment variables of this service. Nothing else in it reads the environment."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from py_vapid import Vapid02
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from tejido_notifications.proof.keys import parsed
from tejido_shared.jurisdiction import Email, Jurisdiction, load
from tejido_shared.settings import ServiceSettings

_OWN = ("email", "in_app", "webhook", "web_push")


class NotificationsSettings(ServiceSettings):
    """`NOTIFICATIONS_…`, and `TEJIDO_…` in `common`."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATIONS_", extra="ignore", env_ignore_empty=True)

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
        description="Connections to the mail server at once, over all workers; as many mails at most are doubled if a sender is killed",
    )
    dkim_key: SecretStr = Field(
        SecretStr(""), description="Private key (PEM) that signs mails; none are signed when empty"
    )
    dkim_selector: str = Field("tejido", description="Name under which its public half is in the DNS")
    relayed: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,30}$")], SecretStr] = Field(
        default_factory=dict,
        description=(
            'Further channels as JSON, each an Apprise address with {address} where the recipient goes: {"sms": "twilio://…/{address}"}'
        ),
    )
    rates: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description='Most messages a second, by channel, as JSON: {"email": 10, "sms": 1}'
    )
    web_push_key: SecretStr = Field(SecretStr(""), description="VAPID private key; no web push when empty")
    web_push_hosts: list[str] = Field(
        default_factory=lambda: [
            "fcm.googleapis.com",
            "updates.push.services.mozilla.com",
            "web.push.apple.com",
            "notify.windows.com",
        ],
        description="Push services that are called, as JSON; theirs and their subdomains",
    )
    webhook_timeout: float = Field(10.0, gt=0, description="Seconds a subscribed system may take to answer")
    webhook_slots: int = Field(8, gt=0, description="Subscribed systems that are told at once, over all workers")
    webhook_private: bool = Field(
        False,
        description="Whether subscribed systems may be at private addresses, as those of the municipality's own network",
    )
    proof_key: SecretStr = Field(
        SecretStr(""),
        description="Ed25519 private key, 32 bytes in base64, that signs proofs of delivery; made by ./tejido secrets. "
        "Several with commas between: the first signs, every one verifies",
    )
    bounce_url: SecretStr = Field(
        SecretStr(""),
        description="Mailbox that bounces come back to, imaps://user:password@host or pop3s://…; none is read when empty",
    )
    bounce_sender: Email | Literal[""] = Field(
        "", description="Envelope address that bounces go to; smtp_sender when empty"
    )
    bounce_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret (Standard Webhooks) with which a mail provider signs its reports; none are taken when empty",
    )
    lease: float = Field(
        330.0,
        gt=0,
        description="Seconds after which a message that was being sent is taken up again; longer than a task may run (300)",
    )

    @field_validator("dkim_key")
    @classmethod
    def _readable_key(cls, key: SecretStr) -> SecretStr:
        if key.get_secret_value():
            load_pem_private_key(key.get_secret_value().replace("\\n", "\n").encode(), None)
        return key

    @field_validator("relayed")
    @classmethod
    def _addressed(cls, relayed: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, url in relayed.items():
            if name in _OWN or "{address}" not in url.get_secret_value():
                raise ValueError(f"{name}: a name that is not taken, and {{address}} in its address")
        return relayed

    @field_validator("web_push_key")
    @classmethod
    def _vapid_key(cls, key: SecretStr) -> SecretStr:
        if key.get_secret_value():
            Vapid02.from_string(key.get_secret_value())
        return key

    @field_validator("proof_key")
    @classmethod
    def _ed25519_key(cls, key: SecretStr) -> SecretStr:
        parsed(key.get_secret_value())
        return key

    @property
    def channels(self) -> frozenset[str]:
        """Names of the channels by which persons are reached."""
        push = {"web_push"} if self.web_push_key.get_secret_value() else set()
        return frozenset({"email", "in_app", *push, *self.relayed})


@cache
def settings() -> NotificationsSettings:
    return NotificationsSettings()


@cache
def jurisdiction() -> Jurisdiction:
    """The municipality's pack. Raises `JurisdictionError` naming file, line or key and reason."""
    path: Path = settings().common.jurisdiction
    return load(path)
