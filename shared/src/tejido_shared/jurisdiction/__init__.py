"""The jurisdiction pack: what differs between two municipalities, as data a person can read and edit.

A pack is a directory of TOML files and one CSV. `load` reads it whole, checks it, and lists every problem it
finds with file, line or key, and reason. What it returns is frozen: share it between threads.
"""

from tejido_shared.jurisdiction.desk import (
    PROCEDURE_CLOCKS,
    Area,
    Channel,
    Clock,
    OfficeHours,
    Procedure,
    Reminder,
    RetentionRule,
    Targets,
)
from tejido_shared.jurisdiction.loading import JurisdictionError, load
from tejido_shared.jurisdiction.models import (
    LONGEST_CLOSURE_DAYS,
    RESPONSE_PLACEHOLDERS,
    AfterDue,
    AskedField,
    Closure,
    CountingPolicy,
    Entity,
    IdentifierScheme,
    Office,
    OrganizationType,
    ProcedureTerm,
    RequestType,
    Role,
    RoleRule,
    Term,
    Texts,
)
from tejido_shared.jurisdiction.numbers import ReceiptNumber, parse_receipt_number, receipt_number
from tejido_shared.jurisdiction.pack import Jurisdiction
from tejido_shared.jurisdiction.routing import RoutingRule
from tejido_shared.jurisdiction.values import Amount, Code, Day, Email, Regex, SchemeCode, Text, Unit, YesNo

__all__ = [
    "LONGEST_CLOSURE_DAYS",
    "PROCEDURE_CLOCKS",
    "RESPONSE_PLACEHOLDERS",
    "AfterDue",
    "Amount",
    "Area",
    "AskedField",
    "Channel",
    "Clock",
    "Closure",
    "Code",
    "CountingPolicy",
    "Day",
    "Email",
    "Entity",
    "IdentifierScheme",
    "Jurisdiction",
    "JurisdictionError",
    "Office",
    "OfficeHours",
    "OrganizationType",
    "Procedure",
    "ProcedureTerm",
    "ReceiptNumber",
    "Regex",
    "Reminder",
    "RequestType",
    "RetentionRule",
    "Role",
    "RoleRule",
    "RoutingRule",
    "SchemeCode",
    "Targets",
    "Term",
    "Text",
    "Texts",
    "Unit",
    "YesNo",
    "load",
    "parse_receipt_number",
    "receipt_number",
]
