"""Reading a pack and telling all that is wrong with it."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from functools import lru_cache, partial
from pathlib import Path
from tomllib import TOMLDecodeError
from tomllib import loads as parse_toml
from typing import Any, TypeVar

from babel.messages.pofile import read_po
from pydantic import ValidationError

from tejido_shared.jurisdiction.desk import PROCEDURE_CLOCKS, Area, Channel, Procedure, Reminder, RetentionRule
from tejido_shared.jurisdiction.models import (
    Closure,
    IdentifierScheme,
    Office,
    OrganizationType,
    RequestType,
    RoleRule,
    Texts,
)
from tejido_shared.jurisdiction.pack import Head, Jurisdiction
from tejido_shared.jurisdiction.register import Register
from tejido_shared.jurisdiction.routing import RoutingRule
from tejido_shared.jurisdiction.values import Coded, Frozen


class JurisdictionError(Exception):
    """A pack that cannot be used. `problems` has one line each, for people; the message is all of them."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join([heading, *problems]))
        self.problems = tuple(problems)


class _RolesFile(Frozen):
    role: tuple[RoleRule, ...]


class _OfficesFile(Frozen):
    office: tuple[Office, ...]


class _OrganizationTypesFile(Frozen):
    identifier_scheme: tuple[IdentifierScheme, ...]
    organization_type: tuple[OrganizationType, ...]


class _RequestTypesFile(Frozen):
    request_type: tuple[RequestType, ...]


class _ChannelsFile(Frozen):
    channel: tuple[Channel, ...]


class _AreasFile(Frozen):
    area: tuple[Area, ...] = ()


class _RemindersFile(Frozen):
    reminder: tuple[Reminder, ...]


class _RoutingFile(Frozen):
    rule: tuple[RoutingRule, ...] = ()


class _RetentionFile(Frozen):
    rule: tuple[RetentionRule, ...] = ()


_File = TypeVar("_File", bound=Frozen)
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
        head = self._toml("jurisdiction.toml", Head)
        roles = self._toml("roles.toml", _RolesFile)
        offices = self._toml("offices.toml", _OfficesFile)
        organizations = self._toml("organization_types.toml", _OrganizationTypesFile)
        requests = self._toml("request_types.toml", _RequestTypesFile)
        channels = self._toml("channels.toml", _ChannelsFile)
        areas = self._toml("areas.toml", _AreasFile, optional=True)
        procedure = self._toml("procedure.toml", Procedure)
        reminders = self._toml("reminders.toml", _RemindersFile)
        routing = self._toml("routing.toml", _RoutingFile, optional=True)
        retention = self._toml("retention.toml", _RetentionFile, optional=True)
        registration = self._toml("registration.toml", Register)
        texts = self._toml("texts.toml", Texts)
        closures = self._closures()
        messages = self._messages()

        if head and closures is not None:
            for year in head.confirmed_years:
                if not any(closure.starts_on.year <= year <= closure.ends_on.year for _, closure in closures):
                    self._problem("jurisdiction.toml: confirmed_years", "year_without_closures", value=year)
        if offices:
            self._codes("offices.toml: office", offices.office)
            self._one_default("offices.toml: office", offices.office)
        if organizations:
            self._organizations(organizations)
        office_codes = _codes_of(offices.office) if offices else None
        type_codes = _codes_of(requests.request_type) if requests else None
        area_codes = _codes_of(areas.area) if areas else None
        if requests:
            self._requests(requests, office_codes)
        for line, closure in closures or ():
            self._known(
                self._line("closures.csv", line, "except_types"), "unknown_type", closure.except_types, type_codes
            )
        if channels:
            self._codes("channels.toml: channel", channels.channel)
            if not any(channel.public and channel.active for channel in channels.channel):
                self._problem("channels.toml: channel", "no_public_channel")
        if areas:
            self._codes("areas.toml: area", areas.area)
        if reminders:
            self._reminders(reminders, procedure)
        for index, rule in enumerate(routing.rule if routing else ()):
            where = f"routing.toml: rule[{index}]"
            self._known(f"{where}.types", "unknown_type", rule.types, type_codes)
            self._known(f"{where}.areas", "unknown_area", rule.areas, area_codes)
            self._known(f"{where}.office", "unknown_office", (rule.office,), office_codes)
        if retention:
            self._retention(retention, type_codes)
        if registration:
            self._registration(registration, _codes_of(organizations.organization_type) if organizations else None)

        if (
            self.problems
            or closures is None
            or not (head and roles and offices and organizations and requests and texts)
            or not (channels and areas and procedure and reminders and routing and retention and registration)
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
            channels=channels.channel,
            areas=areas.area,
            procedure=procedure,
            reminders=reminders.reminder,
            routing=routing.rule,
            retention=retention.rule,
            registration=registration,
            texts=texts,
            messages=messages,
        )

    def _organizations(self, file: _OrganizationTypesFile) -> None:
        self._codes("organization_types.toml: organization_type", file.organization_type)
        self._codes("organization_types.toml: identifier_scheme", file.identifier_scheme)
        schemes = _codes_of(file.identifier_scheme)
        for index, kind in enumerate(file.organization_type):
            where = f'organization_types.toml: organization_type[{index}] "{kind.code}".identifier_schemes'
            self._known(where, "unknown_scheme", kind.identifier_schemes, schemes)

    def _requests(self, file: _RequestTypesFile, offices: Set[str] | None) -> None:
        self._codes("request_types.toml: request_type", file.request_type)
        self._one_default("request_types.toml: request_type", file.request_type)
        for index, kind in enumerate(file.request_type):
            where = f'request_types.toml: request_type[{index}] "{kind.code}"'
            self._codes(f"{where}.fields", kind.fields)
            if kind.default_office is not None:
                self._known(f"{where}.default_office", "unknown_office", (kind.default_office,), offices)

    def _reminders(self, file: _RemindersFile, procedure: Procedure | None) -> None:
        first: dict[tuple[str, int | str], int] = {}
        for index, reminder in enumerate(file.reminder):
            where = f"reminders.toml: reminder[{index}]"
            before = first.setdefault((reminder.clock, reminder.days), index)
            if before != index:
                self._problem(where, "repeated_reminder", value=before)
            term = PROCEDURE_CLOCKS.get(reminder.clock)
            if procedure and term and term not in procedure.terms:
                self._problem(f"{where}.clock", "clock_without_term", value=term)

    def _retention(self, file: _RetentionFile, types: Set[str] | None) -> None:
        named: set[str] = set()
        for index, rule in enumerate(file.rule):
            where = f"retention.toml: rule[{index}]"
            self._known(f"{where}.types", "unknown_type", rule.types, types)
            for code in rule.types or ("",):  # "": the rule for all others
                if code in named:
                    self._problem(f"{where}.types", "repeated_type" if code else "two_general_rules", value=code)
                named.add(code)

    def _registration(self, file: Register, types: Set[str] | None) -> None:
        name = "registration.toml"
        for list_name, items in (
            ("document_type", file.document_type),
            ("purpose", file.purpose),
            ("theme", file.theme),
            ("population", file.population),
        ):
            self._codes(f"{name}: {list_name}", items)
        documents = _codes_of(file.document_type)
        for index, asked in enumerate(file.documents_asked):
            self._known(f"{name}: documents_asked[{index}].documents", "unknown_document", asked.documents, documents)
            self._known(f"{name}: documents_asked[{index}].types", "unknown_organization_type", asked.types, types)
        for index, purpose in enumerate(file.purpose):
            where = f'{name}: purpose[{index}] "{purpose.code}"'
            self._known(f"{where}.documents", "unknown_document", purpose.documents, documents)
            self._known(f"{where}.types", "unknown_organization_type", purpose.types, types)
        steps = Counter((step.before, step.after) for step in file.transition)
        for index, step in enumerate(file.transition):
            if steps[step.before, step.after] > 1:
                self._problem(f"{name}: transition[{index}]", "repeated_transition")

    def _read(self, name: str, optional: bool = False) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
        except UnicodeDecodeError:
            self._problem(name, "not_utf8")
        except FileNotFoundError:
            if optional:
                return ""
            self._problem(name, "missing_file")
        except OSError as error:
            self._problem(name, "unreadable", detail=error.strerror)
        return None

    def _toml(self, name: str, model: type[_File], optional: bool = False) -> _File | None:
        text = self._read(name, optional)
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
            if not re.fullmatch(r"[a-z][a-z0-9_]*(\.short)?\.[a-z]{2}\.(txt|html)", file.name):
                self._problem(name, "message_name")
            elif (text := self._read(name)) is not None:
                messages[file.name] = text
        return messages

    def _codes(self, where: str, items: Iterable[Coded]) -> None:
        seen = set()
        for index, item in enumerate(items):
            if item.code in seen:
                self._problem(f'{where}[{index}] "{item.code}".code', "repeated_code")
            seen.add(item.code)

    def _known(self, where: str, problem: str, codes: Iterable[str], known: Set[str] | None) -> None:
        """`known` is None where the file that would say is itself broken."""
        for code in codes:
            if known is not None and code not in known:
                self._problem(where, problem, value=code)

    def _one_default(self, where: str, items: Iterable[Office | RequestType]) -> None:
        count = sum(item.default for item in items)
        if count != 1:
            self._problem(where, "one_default", count=count)

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


def _codes_of(items: Iterable[Coded]) -> frozenset[str]:
    return frozenset(item.code for item in items)


@lru_cache
def _catalogue(language: str) -> dict[str, str]:
    path = Path(__file__).parents[1] / "locale" / language / "LC_MESSAGES" / "jurisdiction.po"
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
