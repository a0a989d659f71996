"""The kinds of value a pack is written with. Error codes are keys of the catalogue locale/*/LC_MESSAGES/jurisdiction.po."""

import re
from datetime import date, datetime
from typing import Annotated, Literal, Protocol
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Coded(Protocol):
    @property
    def code(self) -> str: ...


def _day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise PydanticCustomError("day", "write a day as 2026-12-31")


def _yes_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return {"yes": True, "sí": True, "si": True, "no": False}[str(value).strip().lower()]
    except KeyError:
        raise PydanticCustomError("yes_or_no", "say yes or no") from None


def matching(code: str, pattern: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise PydanticCustomError(code, "does not match")
        return value

    return AfterValidator(check)


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # what zoneinfo raises for no such key, a bad one, and a directory
        raise PydanticCustomError("time_zone", "unknown") from None
    return value


def _locale(value: str) -> str:
    try:
        Locale.parse(value, sep="-")
    except (ValueError, UnknownLocaleError):
        raise PydanticCustomError("locale", "unknown") from None
    return value


def _weekdays(value: str) -> str:
    if not re.fullmatch("[01]{7}", value):
        raise PydanticCustomError("weekdays", "seven digits")
    if "1" not in value:
        raise PydanticCustomError("no_working_day", "no working day")
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise PydanticCustomError("regex", "not valid", {"detail": str(error)}) from None
    return value


Text = Annotated[str, Field(min_length=1)]
Code = Annotated[str, matching("code", "[a-z0-9]+([-_][a-z0-9]+)*")]
SchemeCode = Annotated[str, matching("scheme_code", "[A-Z0-9]+(-[A-Z0-9]+)*")]
Email = Annotated[str, matching("email", r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")]
Regex = Annotated[str, AfterValidator(_regex)]
Day = Annotated[date, BeforeValidator(_day)]
YesNo = Annotated[bool, BeforeValidator(_yes_no)]
Unit = Literal["business_days", "calendar_days", "months"]
Amount = Annotated[int, Field(strict=True, ge=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Country = Annotated[str, matching("country", "[A-Z]{2}")]
LocaleCode = Annotated[str, AfterValidator(_locale)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Weekdays = Annotated[str, AfterValidator(_weekdays)]
Kind = Literal["legal", "service_commitment"]
