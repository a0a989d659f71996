"""What an organization's data must be like: pure functions that return what to store and every flaw found.

A flaw is a pair of field and code; the code's text is `field.<code>` in the catalogue.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import phonenumbers
from stdnum.ar import cuit
from stdnum.co import nit
from stdnum.exceptions import ValidationError as StdnumError

from tejido_registry.schemas import BranchIn, ContactIn, IdentifierIn
from tejido_shared.jurisdiction import IdentifierScheme, Jurisdiction, OrganizationType
from tejido_shared.jurisdiction.values import Coded

Flaw = tuple[str, str]
CUIT, NIT = "AR-CUIT", "CO-NIT"
"""Codes of org-id.guide; the check digits of these two are known."""


def identifiers(
    pack: Jurisdiction, kind: OrganizationType, given: Sequence[IdentifierIn]
) -> tuple[list[IdentifierIn], list[Flaw]]:
    """The identifiers as stored, in their fixed order, and what is wrong with each."""
    schemes = {scheme.code: scheme for scheme in pack.identifier_schemes}
    stored, flaws = [], []
    for index, one in enumerate(given):
        scheme = schemes.get(one.scheme)
        if scheme is None or scheme.code not in kind.identifier_schemes:
            code = "unknown_scheme" if scheme is None else "scheme_not_for_type"
            flaws.append((f"identifiers.{index}.scheme", code))
            continue
        try:
            stored.append(_identifier(scheme, one))
        except _Flawed as flaw:
            flaws.append((f"identifiers.{index}.{flaw.part}", flaw.code))
    if any(count > 1 for count in Counter((one.scheme, one.value) for one in stored).values()):
        flaws.append(("identifiers", "identifier_repeated"))
    return sorted(stored, key=lambda one: (one.scheme, one.value)), flaws


def of_a_person(identifier: IdentifierIn) -> bool:
    """Whether it is the tax number of a person: mostly the representative's, and then personal data."""
    return identifier.scheme == CUIT and identifier.value < "3"


def contacts(pack: Jurisdiction, given: Sequence[ContactIn]) -> tuple[list[ContactIn], list[Flaw]]:
    """The contacts with telephones in international form, and what is wrong with each."""
    stored, flaws = [], []
    for index, one in enumerate(given):
        if not (one.email or one.phone):
            flaws.append((f"contacts.{index}", "contact_empty"))
        phone = one.phone
        if phone is not None:
            try:
                phone = _phone(phone, pack.country)
            except ValueError:
                flaws.append((f"contacts.{index}.phone", "phone"))
        stored.append(one.model_copy(update={"phone": phone}))
    return stored, flaws


def fold(text: str) -> str:
    """A text without accents and capitals, as the database's function of the same name makes it."""
    if text.isascii():  # most texts, and imports fold millions
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text)
    return re.sub("[\u0300-\u036f]", "", decomposed).lower()


def area(pack: Jurisdiction, text: str | None) -> str | None:
    """The code of the area with this code or name; accents and capitals do not matter. None if there is no such."""
    wanted = fold(text or "")
    return next((one.code for one in pack.areas if wanted in (one.code, fold(one.name))), None)


def codes(field: str, given: Sequence[str], known: Iterable[Coded], flaw: str) -> tuple[list[str], list[Flaw]]:
    """Codes as stored, each once, and those that the jurisdiction does not have."""
    admitted = {one.code for one in known}
    flaws = [(f"{field}.{index}", flaw) for index, code in enumerate(given) if code not in admitted]
    return list(dict.fromkeys(given)), flaws


def branches(pack: Jurisdiction, given: Sequence[BranchIn]) -> tuple[list[BranchIn], list[Flaw]]:
    """The branches with the codes of their areas, and what is wrong with each."""
    stored, flaws = [], []
    for index, one in enumerate(given):
        code = area(pack, one.area)
        if one.area is not None and code is None:
            flaws.append((f"branches.{index}.area", "unknown_area"))
        flaws += point(one.latitude, one.longitude, f"branches.{index}.")
        stored.append(one.model_copy(update={"area": code}))
    return stored, flaws


def point(latitude: float | None, longitude: float | None, place: str = "") -> list[Flaw]:
    """What is wrong with a point: half of one is none."""
    if (latitude is None) == (longitude is None):
        return []
    return [(place + ("longitude" if longitude is None else "latitude"), "point_incomplete")]


class _Flawed(ValueError):  # noqa: N818
    def __init__(self, part: str, code: str) -> None:
        super().__init__(code)
        self.part, self.code = part, code


def _identifier(scheme: IdentifierScheme, given: IdentifierIn) -> IdentifierIn:
    value, digit = given.value, given.check_digit
    if scheme.code == NIT:
        # Written with a hyphen the digit is said; ten digits in a row are not, for one base in ten passes by accident.
        written = re.fullmatch(r"([0-9. ]+)-([0-9])", value)
        if written and digit is None:
            value, digit = written.groups()
        value = re.sub("[. ]", "", value)
    if not re.fullmatch(scheme.pattern, value):
        value = value.upper()
        if not re.fullmatch(scheme.pattern, value):
            raise _Flawed("value", "identifier_pattern")
    if scheme.code == NIT:
        if not re.fullmatch("[0-9]+", value):
            raise _Flawed("value", "identifier_pattern")
        if digit is None:
            raise _Flawed("check_digit", "check_digit_missing")
        if nit.calc_check_digit(value) != digit:
            raise _Flawed("check_digit", "check_digit_wrong")
    elif digit is not None:
        raise _Flawed("check_digit", "check_digit_unknown")
    if scheme.code == CUIT:
        try:
            value = cuit.validate(value)
        except StdnumError:
            raise _Flawed("value", "check_digit_wrong") from None
    return IdentifierIn(scheme=scheme.code, value=value, check_digit=digit)


def _phone(text: str, country: str) -> str:
    """E.164, or the international form where there is an extension. Raises `ValueError`."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise ValueError("not a telephone number") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("no such telephone number")
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, form.INTERNATIONAL if number.extension else form.E164)
