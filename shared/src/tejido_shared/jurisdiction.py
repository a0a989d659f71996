"""The jurisdiction pack: what differs between two municipalities, as data a person can read and edit.

A pack is a directory of TOML files and one CSV. `load` reads it whole, checks it, and lists every problem it
finds with file, line or key, and reason. What it returns is frozen: share it between threads.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from pathlib import Path
from string import Formatter
from tomllib import TOMLDecodeError
from tomllib import loads as parse_toml
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.messages.pofile import read_po
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

LONGEST_CLOSURE_DAYS = 366  # a longer one is a mistyped year


class JurisdictionError(Exception):
    """A pack that cannot be used. `problems` has one line each, for people; the message is all of them."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join([heading, *problems]))
        self.problems = tuple(problems)


# Receipt numbers


class ReceiptNumber(NamedTuple):
    year: int
    sequence: int


def receipt_number(pattern: str, year: int, sequence: int) -> str:
    """The receipt number of the `sequence`-th filing of `year`, e.g. BOG-2026-000123-97.

    `{check}` are the two check digits of ISO 7064 MOD 97-10 over all letters (A=10 … Z=35) and digits before it:
    any one changed digit and any two swapped neighbours are detected.
    """
    if not 1000 <= year <= 9999 or sequence < 1:
        raise ValueError("receipt number out of range")
    body = pattern.format(year=year, sequence=sequence, check="")
    digits = "".join(str(int(character, 36)) for character in body if character.isalnum())
    return f"{body}{98 - int(digits + '00') % 97:02d}"


def parse_receipt_number(pattern: str, text: str) -> ReceiptNumber:
    """Year and sequence of a receipt number as a person typed it (case and outer spaces do not matter).

    Raises ValueError if it is not of this pattern or its check digits do not agree.
    """
    text = text.strip().upper()
    if match := _receipt_regex(pattern).fullmatch(text):
        number = ReceiptNumber(int(match["year"]), int(match["sequence"]))
        if number.sequence and number.year >= 1000 and receipt_number(pattern, *number) == text:
            return number
    raise ValueError("not a receipt number")


@lru_cache
def _receipt_regex(pattern: str) -> re.Pattern[str]:
    parts = []
    for literal, field, spec, _ in Formatter().parse(pattern):
        parts.append(re.escape(literal))
        if field == "sequence":
            parts.append(f"(?P<sequence>[0-9]{{{int((spec or '')[:-1])},}})")
        elif field:
            parts.append(f"(?P<{field}>[0-9]{{{4 if field == 'year' else 2}}})")
    return re.compile("".join(parts))


# Kinds of value. The error codes are keys of the catalogue locale/*/LC_MESSAGES/jurisdiction.po.


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


def _matching(code: str, pattern: str) -> AfterValidator:
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


def _receipt_pattern(value: str) -> str:
    try:
        fields = [(field, spec) for _, field, spec, _ in Formatter().parse(value) if field is not None]
    except ValueError:
        fields = []
    names, specs = [field for field, _ in fields], dict(fields)
    literal = re.sub(r"\{[^}]*\}", "", value)
    if (
        sorted(names) != ["check", "sequence", "year"]
        or not value.endswith("{check}")
        or specs["year"]
        or not re.fullmatch("0[1-9]d", specs["sequence"] or "")
        or not re.fullmatch("[A-Z0-9./-]*", literal)
    ):
        raise PydanticCustomError("receipt_pattern", "not valid")
    return value


Text = Annotated[str, Field(min_length=1)]
Code = Annotated[str, _matching("code", "[a-z0-9]+([-_][a-z0-9]+)*")]
SchemeCode = Annotated[str, _matching("scheme_code", "[A-Z0-9]+(-[A-Z0-9]+)*")]
Email = Annotated[str, _matching("email", r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")]
Regex = Annotated[str, AfterValidator(_regex)]
Day = Annotated[date, BeforeValidator(_day)]
YesNo = Annotated[bool, BeforeValidator(_yes_no)]
Unit = Literal["business_days", "calendar_days", "months"]
Amount = Annotated[int, Field(strict=True, ge=1)]


class Role(StrEnum):
    CITIZEN = "citizen"
    ORGANIZATION_REPRESENTATIVE = "organization_representative"
    OFFICER = "officer"
    HEAD = "head"
    REGISTRAR = "registrar"
    PROJECT_EVALUATOR = "project_evaluator"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class RoleRule(_Frozen):
    """A group (regular expression, matched whole) or a machine client (its id) gets a role.

    The named groups `office` and `organization` of the expression say where the role holds.
    """

    group: Regex | None = None
    client: Text | None = None
    role: Role

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.group is None) == (self.client is None):
            raise PydanticCustomError("group_or_client", "one of group and client")
        named = re.compile(self.group).groupindex if self.group is not None else {}
        if self.role in (Role.OFFICER, Role.HEAD) and "office" not in named:
            raise PydanticCustomError("role_needs_office", "needs an office")
        if self.role is Role.ORGANIZATION_REPRESENTATIVE and "organization" not in named:
            raise PydanticCustomError("role_needs_organization", "needs an organization")
        return self


class Office(_Frozen):
    """`head_email` is the official address of the post, which outlives the person."""

    code: Code
    name: Text
    email: Email
    head_email: Email
    default: bool = False


class IdentifierScheme(_Frozen):
    """A register that gives organizations a number. `pattern` is matched whole; `unique`: no two share a number."""

    code: SchemeCode
    name: Text
    pattern: Regex
    unique: bool


class OrganizationType(_Frozen):
    """`grade` is the level of a communal body (1: board … 4: confederation); absent for all others."""

    code: Code
    name: Text
    description: str = ""
    grade: Annotated[int, Field(strict=True, ge=1, le=4)] | None = None
    identifier_schemes: tuple[SchemeCode, ...] = ()


class AfterDue(_Frozen):
    """What the law orders once the term has passed unanswered: `n` more units from the due date."""

    unit: Unit
    n: Amount
    effect: Literal["accepted_by_silence"]
    article: Text


class Term(_Frozen):
    """The time to answer requests received on `valid_from` or later and before `valid_to` (absent: still valid).

    `extension_max_added` is in the same unit (absent: it cannot be extended). A `service_commitment` is the
    entity's own promise: a mail must not call it the law.
    """

    valid_from: Day
    valid_to: Day | None = None
    unit: Unit
    n: Amount
    extension_max_added: Amount | None = None
    article: Text
    kind: Literal["legal", "service_commitment"]
    after_due: AfterDue | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.valid_to is not None and self.valid_from >= self.valid_to:
            raise PydanticCustomError(
                "from_after_to", "from after to", {"start": self.valid_from, "end": self.valid_to}
            )
        return self


class RequestType(_Frozen):
    """`name` is the law's own word. `due_date = "typed"`: an officer copies the date from the request; no terms.

    `filed_by = "authorities"`: other public bodies, so it is not offered to citizens. `default`: what has no type.
    """

    code: Code
    name: Text
    description: Text
    filed_by: Literal["anyone", "authorities"] = "anyone"
    due_date: Literal["computed", "typed"] = "computed"
    default: bool = False
    default_office: Code | None = None
    terms: tuple[Term, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.due_date == "typed") == bool(self.terms):
            raise PydanticCustomError("terms_typed" if self.terms else "terms_missing", "terms")
        for earlier, later in zip(self.terms, self.terms[1:], strict=False):
            if earlier.valid_to is None or earlier.valid_to > later.valid_from:
                raise PydanticCustomError("terms_overlap", "terms overlap", {"day": later.valid_from})
            if earlier.valid_to < later.valid_from:
                raise PydanticCustomError(
                    "terms_gap", "terms leave a gap", {"start": earlier.valid_to, "end": later.valid_from}
                )
        return self


class Closure(_Frozen):
    """Days, both ends included, on which the offices are closed, and the legal act that says so.

    A closed office is not a suspended term: only `suspends_terms` takes the days out of the count, and not for
    `except_types`. `open_for_filing`: requests are still received. `declared_at`: when the act became known,
    absent for a law that was there before.
    """

    starts_on: Day = Field(validation_alias="from")
    ends_on: Day = Field(validation_alias="to")
    name: Text
    act: Text
    scope: Literal["country", "province", "municipality"]
    suspends_terms: YesNo
    open_for_filing: YesNo
    except_types: Annotated[
        tuple[Code, ...], BeforeValidator(lambda value: value.split() if isinstance(value, str) else value)
    ] = ()
    declared_at: Annotated[Day | None, BeforeValidator(lambda value: value or None)] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.starts_on > self.ends_on:
            raise PydanticCustomError("from_after_to", "from after to", {"start": self.starts_on, "end": self.ends_on})
        if (self.ends_on - self.starts_on).days >= LONGEST_CLOSURE_DAYS:
            raise PydanticCustomError("closure_too_long", "too long", {"days": LONGEST_CLOSURE_DAYS})
        return self

    def days(self) -> Iterator[date]:
        for offset in range((self.ends_on - self.starts_on).days + 1):
            yield self.starts_on + timedelta(days=offset)


class CountingPolicy(_Frozen):
    """How days are counted where the law leaves a choice.

    `receipt_rule`: whether a receipt on a closed day, or from `cutoff` on, is deemed received the next open day.
    `weekdays`: working days, Monday first, 1 works. `overdue`: the legal end of the last day, or `office_close`.
    Times are local.
    """

    receipt_rule: Literal["same_day", "roll_nonbusiness", "roll_after_hours"]
    cutoff: time
    weekdays: Annotated[str, AfterValidator(_weekdays)]
    overdue: Literal["end_of_day", "office_close"]
    office_close: time


class Entity(_Frozen):
    """The public body, as its mails present it."""

    name: Text
    short_name: Text
    email: Email
    phone: Text
    address: Text
    website: Text
    opening_hours: Text


class Texts(_Frozen):
    """What every mail carries."""

    greeting: Text
    signature: Text
    data_protection: Text


class _Head(_Frozen):
    code: Code
    name: Text
    country: Annotated[str, _matching("country", "[A-Z]{2}")]
    locale: Annotated[str, AfterValidator(_locale)]
    time_zone: Annotated[str, AfterValidator(_time_zone)]
    receipt_pattern: Annotated[str, AfterValidator(_receipt_pattern)]
    confirmed_years: tuple[int, ...]
    verified_by: str
    verified_at: Day | None = None
    entity: Entity
    counting: CountingPolicy

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.verified_by) != bool(self.verified_at):
            raise PydanticCustomError("verified_together", "verified_by and verified_at go together")
        return self


class Jurisdiction(_Head):
    """A checked pack. Methods that take a code raise LookupError for one the pack does not have."""

    roles: tuple[RoleRule, ...]
    offices: tuple[Office, ...]
    identifier_schemes: tuple[IdentifierScheme, ...]
    organization_types: tuple[OrganizationType, ...]
    request_types: tuple[RequestType, ...]
    closures: tuple[Closure, ...]
    texts: Texts
    messages: dict[str, str]
    """Mail texts of the municipality that replace the default ones, by file name."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def calendar_version(self) -> str:
        """Changes whenever a closure does, whatever the order of the rows: 16 hexadecimal digits."""
        return _fingerprint(sorted(closure.model_dump_json() for closure in self.closures))

    @cached_property
    def terms_version(self) -> str:
        """Changes whenever a term of any request type does: 16 hexadecimal digits."""
        return _fingerprint(
            sorted(
                [kind.code, kind.due_date, *(term.model_dump_json() for term in kind.terms)]
                for kind in self.request_types
            )
        )

    @property
    def default_office(self) -> Office:
        return next(office for office in self.offices if office.default)

    @property
    def default_request_type(self) -> RequestType:
        return next(kind for kind in self.request_types if kind.default)

    def office(self, code: str) -> Office:
        return _find(self.offices, code)

    def organization_type(self, code: str) -> OrganizationType:
        return _find(self.organization_types, code)

    def request_type(self, code: str) -> RequestType:
        return _find(self.request_types, code)

    def office_for(self, type_code: str) -> Office:
        """The office a new request of this type goes to."""
        code = self.request_type(type_code).default_office
        return self.office(code) if code is not None else self.default_office

    def term(self, type_code: str, received_on: date) -> Term:
        """The term in force on the local day of receipt; LookupError too if there was none or the date is typed."""
        for term in self.request_type(type_code).terms:
            if term.valid_from <= received_on and (term.valid_to is None or received_on < term.valid_to):
                return term
        raise LookupError(f"no term for {type_code} received on {received_on}")

    def suspending_closures(self, type_code: str) -> tuple[Closure, ...]:
        """The closures whose days do not count for requests of this type."""
        self.request_type(type_code)
        return tuple(
            closure for closure in self.closures if closure.suspends_terms and type_code not in closure.except_types
        )


_Coded = TypeVar("_Coded", Office, OrganizationType, RequestType)


def _find(items: Iterable[_Coded], code: str) -> _Coded:
    for item in items:
        if item.code == code:
            return item
    raise LookupError(f"unknown code {code}")


def _fingerprint(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


# Loading


class _RolesFile(_Frozen):
    role: tuple[RoleRule, ...]


class _OfficesFile(_Frozen):
    office: tuple[Office, ...]


class _OrganizationTypesFile(_Frozen):
    identifier_scheme: tuple[IdentifierScheme, ...]
    organization_type: tuple[OrganizationType, ...]


class _RequestTypesFile(_Frozen):
    request_type: tuple[RequestType, ...]


_File = TypeVar("_File", bound=_Frozen)
_CLOSURE_COLUMNS = [str(field.validation_alias or name) for name, field in Closure.model_fields.items()]


def load(path: Path | str, language: str = "es") -> Jurisdiction:
    """Read and check the pack in the directory `path`.

    Raises JurisdictionError with all problems found, in `language` (es or en).
    """
    return _Loader(Path(path), language).load()


class _Loader:
    def __init__(self, path: Path, language: str) -> None:
        self.path = path
        self.language = language
        self.problems: list[str] = []

    def load(self) -> Jurisdiction:
        head = self._toml("jurisdiction.toml", _Head)
        roles = self._toml("roles.toml", _RolesFile)
        offices = self._toml("offices.toml", _OfficesFile)
        organizations = self._toml("organization_types.toml", _OrganizationTypesFile)
        requests = self._toml("request_types.toml", _RequestTypesFile)
        texts = self._toml("texts.toml", Texts)
        closures = self._closures()
        messages = self._messages()

        office_codes = {office.code for office in offices.office} if offices else None
        if offices:
            self._codes("offices.toml", "office", offices.office)
            self._one_default("offices.toml", "office", offices.office)
        if organizations:
            self._codes("organization_types.toml", "organization_type", organizations.organization_type)
            self._codes("organization_types.toml", "identifier_scheme", organizations.identifier_scheme)
            schemes = {scheme.code for scheme in organizations.identifier_scheme}
            for index, kind in enumerate(organizations.organization_type):
                for scheme in kind.identifier_schemes:
                    if scheme not in schemes:
                        where = f'organization_types.toml: organization_type[{index}] "{kind.code}".identifier_schemes'
                        self._problem(where, "unknown_scheme", value=scheme)
        if requests:
            self._codes("request_types.toml", "request_type", requests.request_type)
            self._one_default("request_types.toml", "request_type", requests.request_type)
            for index, request in enumerate(requests.request_type):
                if office_codes is not None and request.default_office not in {None, *office_codes}:
                    where = f'request_types.toml: request_type[{index}] "{request.code}".default_office'
                    self._problem(where, "unknown_office", value=request.default_office)
            type_codes = {request.code for request in requests.request_type}
            for line, closure in closures or ():
                for code in closure.except_types:
                    if code not in type_codes:
                        self._problem(self._line("closures.csv", line, "except_types"), "unknown_type", value=code)
        if head and closures is not None:
            for year in head.confirmed_years:
                if not any(closure.starts_on.year <= year <= closure.ends_on.year for _, closure in closures):
                    self._problem("jurisdiction.toml: confirmed_years", "year_without_closures", value=year)

        if (
            self.problems
            or closures is None
            or not (head and roles and offices and organizations and requests and texts)
        ):
            heading = self._say("heading", path=self.path, count=len(self.problems))
            raise JurisdictionError(heading, self.problems)
        return Jurisdiction(
            **dict(head),
            roles=roles.role,
            offices=offices.office,
            identifier_schemes=organizations.identifier_scheme,
            organization_types=organizations.organization_type,
            request_types=requests.request_type,
            closures=tuple(closure for _, closure in closures),
            texts=texts,
            messages=messages,
        )

    def _read(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
        except UnicodeDecodeError:
            self._problem(name, "not_utf8")
        except FileNotFoundError:
            self._problem(name, "missing_file")
        except OSError as error:
            self._problem(name, "unreadable", detail=error.strerror)
        return None

    def _toml(self, name: str, model: type[_File]) -> _File | None:
        text = self._read(name)
        if text is None:
            return None
        try:
            data = parse_toml(text)
        except TOMLDecodeError as error:
            match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
            line = int(match[1]) if match and match[1] else text.count("\n") + 1
            detail = str(error)[: match.start()] if match else str(error)
            self._problem(self._line(name, line), "toml_syntax", detail=detail)
            return None
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self._invalid(error, lambda location: f"{name}: {key}" if (key := _key(data, location)) else name)
            return None

    def _closures(self) -> list[tuple[int, Closure]] | None:
        name = "closures.csv"
        text = self._read(name)
        if text is None:
            return None
        # A spreadsheet where the comma is the decimal point separates cells by semicolons.
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
        columns = Counter(reader.fieldnames or ())
        for column in _CLOSURE_COLUMNS:
            if not columns[column]:
                self._problem(self._line(name, 1), "missing_column", value=column)
        for column, count in columns.items():
            if column not in _CLOSURE_COLUMNS or count > 1:
                self._problem(self._line(name, 1), "unknown_column", value=column)
        if columns != Counter(_CLOSURE_COLUMNS):
            return None
        closures: list[tuple[int, Closure]] = []
        first_line: dict[Closure, int] = {}
        for row in reader:
            line = reader.line_num
            if row["from"].startswith("#"):
                continue
            if None in row:
                self._problem(self._line(name, line), "extra_cells")
                continue
            cells = {column: cell.strip() for column, cell in row.items()}
            if not any(cells.values()):
                continue
            try:
                closure = Closure.model_validate(cells)
            except ValidationError as error:
                self._invalid(error, partial(self._cell, name, line))
                continue
            if closure in first_line:
                self._problem(self._line(name, line), "repeated_row", value=first_line[closure])
            first_line.setdefault(closure, line)
            closures.append((line, closure))
        return closures

    def _messages(self) -> dict[str, str]:
        messages = {}
        for file in sorted((self.path / "messages").glob("*")):
            if file.name == "README.txt":
                continue
            name = f"messages/{file.name}"
            if not re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z]{2}\.(txt|html)", file.name):
                self._problem(name, "message_name")
            elif (text := self._read(name)) is not None:
                messages[file.name] = text
        return messages

    def _codes(
        self, file: str, table: str, items: Iterable[Office | IdentifierScheme | OrganizationType | RequestType]
    ) -> None:
        seen = set()
        for index, item in enumerate(items):
            if item.code in seen:
                self._problem(f'{file}: {table}[{index}] "{item.code}".code', "repeated_code")
            seen.add(item.code)

    def _one_default(self, file: str, table: str, items: Iterable[Office | RequestType]) -> None:
        count = sum(item.default for item in items)
        if count != 1:
            self._problem(f"{file}: {table}", "one_default", count=count)

    def _line(self, file: str, line: int, column: str = "") -> str:
        where = self._say("line", file=file, line=line)
        return f"{where}: {column}" if column else where

    def _cell(self, file: str, line: int, location: Sequence[int | str]) -> str:
        return self._line(file, line, str(location[0]) if location else "")

    def _invalid(self, errors: ValidationError, where: Callable[[Sequence[int | str]], str]) -> None:
        for error in errors.errors():
            params = error.get("ctx", {})
            if "expected" in params:
                params["expected"] = params["expected"].replace(" or ", ", ")
            self._problem(where(error["loc"]), error["type"], error["msg"], **params)

    def _problem(self, where: str, code: str, fallback: str = "", **params: object) -> None:
        self.problems.append(f"{where}: {self._say(code, fallback, **params)}")

    def _say(self, code: str, fallback: str = "", **params: object) -> str:
        text = _catalogue(self.language).get(code)
        return text.format(**params) if text is not None else fallback or code


@lru_cache
def _catalogue(language: str) -> dict[str, str]:
    path = Path(__file__).parent / "locale" / language / "LC_MESSAGES" / "jurisdiction.po"
    with path.open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file) if message.id}


def _key(data: Any, location: Sequence[int | str]) -> str:
    """The key of a TOML file as a person would look for it: request_type[3] "copies".terms[0].n"""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        else:
            key += f".{part}" if key else part
        try:
            data = data[part]
        except (LookupError, TypeError):
            data = None
        if isinstance(part, int) and isinstance(data, dict):
            name = data.get("code") or data.get("group") or data.get("client")
            key += f' "{name}"' if name else ""
    return key
