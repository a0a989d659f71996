"""Receipt numbers: their pattern, how they are written, and how a typed one is checked."""

import re
from functools import lru_cache
from string import Formatter
from typing import Annotated, NamedTuple

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


class ReceiptNumber(NamedTuple):
    year: int
    sequence: int


# A serial as short as a year, and one of nine figures, as many as the widest pattern asks for.
_SAMPLES = ReceiptNumber(2026, 2026), ReceiptNumber(2026, 999_999_999)


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


def same_series(pattern: str, other: str) -> bool:
    """Whether a number of one pattern could be read as a number of the other, so that a citizen may confuse them."""
    return any(
        _receipt_regex(reading).fullmatch(receipt_number(written, *sample))
        for reading, written in ((pattern, other), (other, pattern))
        for sample in _SAMPLES
    )


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


ReceiptPattern = Annotated[str, AfterValidator(_receipt_pattern)]
