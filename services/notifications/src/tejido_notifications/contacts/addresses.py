"""What an address is, by channel: how it is checked, told from others, and shown to strangers. No I/O."""

import json
import re
import unicodedata
from urllib.parse import urlsplit

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from tejido_notifications.channels.web_push import PushSubscription
from tejido_notifications.settings import jurisdiction, settings
from tejido_shared.refusals import Refused

_PHONES = ("sms", "whatsapp", "signal", "voice")
"""Channels to telephones, and others whose names begin so: `sms_reserve`."""
_PLAIN = re.compile(r"[\w@+.:-]{1,100}")
"""Names and numbers of other networks. They go into an address of Apprise's: nothing in them may begin another part of it."""


def checked(channel: str, value: str) -> str:
    """The address as it is stored. Raises `Refused` if the channel cannot reach such a one."""
    if channel == "email":
        try:
            return validate_email(value, check_deliverability=False).normalized
        except EmailNotValidError:
            raise Refused("address_email", "value") from None
    if _to_phone(channel):
        number = _phone(value)
        if number is None:
            raise Refused("address_phone", "value")
        return number
    if channel == "web_push":
        return _push_subscription(value)
    if not _PLAIN.fullmatch(value):
        raise Refused("address_plain", "value")
    return value


def same(channel: str, value: str) -> str:
    """What all spellings of one address have in common. Takes anything: what is no address is only itself."""
    value = unicodedata.normalize("NFC", value.strip())
    if channel == "email":
        name, _, domain = value.rpartition("@")
        try:
            domain = domain.casefold().encode("idna").decode()
        except UnicodeError:
            domain = domain.casefold()
        return f"{name.casefold()}@{domain}"
    if _to_phone(channel):
        return _phone(value) or re.sub(r"[\s().-]", "", value)
    if channel == "web_push":
        try:
            return str(json.loads(value)["endpoint"])
        except (ValueError, KeyError, TypeError):
            return value
    return value


def masked(channel: str, value: str) -> str:
    """Enough of the address for who knows it already."""
    if channel == "email":
        name, _, domain = value.rpartition("@")
        return f"{name[:1]}…@{domain[:1]}….{domain.rpartition('.')[2]}"
    return f"…{value[-2:]}" if _to_phone(channel) else "…"


def by_telephone(number: str) -> tuple[str, str] | None:
    """The first channel to telephones that the municipality has, and the number as it takes it; none if it has none, or it is no number."""
    channel = next((name for name in settings().relayed if _to_phone(name)), None)
    address = _phone(number)
    return (channel, address) if channel is not None and address is not None else None


def _to_phone(channel: str) -> bool:
    return channel.partition("_")[0] in _PHONES


def _phone(text: str) -> str | None:
    """E.164; a number without its country is of the jurisdiction's."""
    try:
        number = phonenumbers.parse(text, jurisdiction().country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number) or number.extension:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _push_subscription(value: str) -> str:
    """What a browser's `PushSubscription.toJSON()` gives (W3C Push API), without what is not needed."""
    try:
        given = PushSubscription.model_validate_json(value)
        url = urlsplit(given.endpoint)
        host = url.hostname or ""
        given.parts  # noqa: B018 - raises for keys that are none
    except ValueError:
        raise Refused("address_push", "value") from None
    if url.scheme != "https" or not any(host == one or host.endswith(f".{one}") for one in settings().web_push_hosts):
        raise Refused("address_push", "value")
    return given.model_dump_json()
