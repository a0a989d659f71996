"""The checked pack and what is asked of it."""

import hashlib
import json
from collections.abc import Iterable
from datetime import date
from functools import cached_property
from typing import Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from tejido_shared.jurisdiction.desk import Area, Channel, Procedure, Reminder, RetentionRule
from tejido_shared.jurisdiction.models import (
    Closure,
    CountingPolicy,
    Entity,
    IdentifierScheme,
    Office,
    OrganizationType,
    RequestType,
    RoleRule,
    Term,
    Texts,
)
from tejido_shared.jurisdiction.numbers import ReceiptPattern, same_series
from tejido_shared.jurisdiction.register import DocumentType, MandateTerm, Purpose, Register
from tejido_shared.jurisdiction.routing import Router, RoutingRule
from tejido_shared.jurisdiction.values import Code, Coded, Country, Day, Frozen, LocaleCode, Text, TimeZone


class Head(Frozen):
    """jurisdiction.toml."""

    code: Code
    name: Text
    country: Country
    locale: LocaleCode
    time_zone: TimeZone
    receipt_pattern: ReceiptPattern
    answer_pattern: ReceiptPattern
    """Of the numbers of outgoing answers."""
    confirmed_years: tuple[int, ...]
    verified_by: str
    verified_at: Day | None = None
    entity: Entity
    counting: CountingPolicy

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.verified_by) != bool(self.verified_at):
            raise PydanticCustomError("verified_together", "verified_by and verified_at go together")
        if same_series(self.receipt_pattern, self.answer_pattern):
            raise PydanticCustomError("same_series", "receipt_pattern and answer_pattern could give the same number")
        return self


class Jurisdiction(Head):
    """A checked pack. Methods that take a code raise LookupError for one the pack does not have."""

    roles: tuple[RoleRule, ...]
    offices: tuple[Office, ...]
    identifier_schemes: tuple[IdentifierScheme, ...]
    organization_types: tuple[OrganizationType, ...]
    request_types: tuple[RequestType, ...]
    closures: tuple[Closure, ...]
    channels: tuple[Channel, ...]
    areas: tuple[Area, ...]
    procedure: Procedure
    reminders: tuple[Reminder, ...]
    routing: tuple[RoutingRule, ...]
    retention: tuple[RetentionRule, ...]
    registration: Register
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
        """Changes whenever a term of any request type or of the procedure does: 16 hexadecimal digits."""
        types = sorted(
            [kind.code, kind.due_date, *(term.model_dump_json() for term in kind.terms)] for kind in self.request_types
        )
        procedure = sorted([name, term.model_dump_json()] for name, term in self.procedure.terms.items())
        return _fingerprint([types, procedure])

    @property
    def default_office(self) -> Office:
        return next(office for office in self.offices if office.default)

    @property
    def default_request_type(self) -> RequestType:
        return next(kind for kind in self.request_types if kind.default)

    def area(self, code: str) -> Area:
        return _find(self.areas, code)

    def channel(self, code: str) -> Channel:
        return _find(self.channels, code)

    def office(self, code: str) -> Office:
        return _find(self.offices, code)

    def office_name(self, code: str) -> str:
        """The office's name; its code if the municipality has no such office any more."""
        try:
            return self.office(code).name
        except LookupError:
            return code

    def organization_type(self, code: str) -> OrganizationType:
        return _find(self.organization_types, code)

    def document_type(self, code: str) -> DocumentType:
        return _find(self.registration.document_type, code)

    def purpose(self, code: str) -> Purpose:
        return _find(self.registration.purpose, code)

    def mandate_term(self, type_code: str) -> MandateTerm | None:
        """When the law has the mandates of this type begin; none where it leaves that to the organization."""
        grade = self.organization_type(type_code).grade
        return next((term for term in self.registration.mandate_term if grade in term.grades), None)

    def request_type(self, code: str) -> RequestType:
        return _find(self.request_types, code)

    def office_for(self, type_code: str) -> Office:
        """The office of this type, whatever the request says and wherever it happens."""
        code = self.request_type(type_code).default_office
        return self.office(code) if code is not None else self.default_office

    def route(self, type_code: str, text: str, area: str | None) -> Office:
        """The office a new request goes to by its type, its words and its place: by the first rule that holds, else
        by its type.
        """
        default = self.office_for(type_code)
        code = self._router.office(type_code, text, area)
        return self.office(code) if code is not None else default

    @cached_property
    def _router(self) -> Router:
        return Router(self.routing)

    def retention_for(self, type_code: str) -> RetentionRule | None:
        """How long personal data of closed requests of this type are kept; None: no rule, so for ever."""
        self.request_type(type_code)
        general = next((rule for rule in self.retention if not rule.types), None)
        return next((rule for rule in self.retention if type_code in rule.types), general)

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


_Coded = TypeVar("_Coded", bound=Coded)


def _find(items: Iterable[_Coded], code: str) -> _Coded:
    for item in items:
        if item.code == code:
            return item
    raise LookupError(f"unknown code {code}")


def _fingerprint(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
