"""Numbers that other registers give, as both jurisdictions write them."""

from pathlib import Path

import pytest

from tejido_registry import checks
from tejido_registry.schemas import IdentifierIn
from tejido_shared.jurisdiction import load

PACKS = Path(__file__).parents[2] / "jurisdictions"
TUCUMAN, BOGOTA = load(PACKS / "ar-tucuman"), load(PACKS / "co-bogota")


def _judge(scheme: str, value: str, digit: str | None = None) -> tuple[str, str | None] | str:
    pack = TUCUMAN if scheme.startswith("AR-") else BOGOTA
    kind = next(kind for kind in pack.organization_types if scheme in kind.identifier_schemes)
    stored, flaws = checks.identifiers(pack, kind, [IdentifierIn(scheme=scheme, value=value, check_digit=digit)])
    return flaws[0][1] if flaws else (stored[0].value, stored[0].check_digit)


@pytest.mark.parametrize(
    ("scheme", "value", "digit", "judged"),
    [
        ("AR-CUIT", "30-50001091-2", None, ("30500010912", None)),
        ("AR-CUIT", "30500010912", None, ("30500010912", None)),
        ("AR-CUIT", "30-50001091-3", None, "check_digit_wrong"),
        ("AR-CUIT", "99-50001091-2", None, "check_digit_wrong"),
        ("AR-CUIT", "305000109", None, "identifier_pattern"),
        ("AR-CUIT", "30-50001091-2", "2", "check_digit_unknown"),
        ("AR-CENOC", "9316-a", None, ("9316-A", None)),
        ("AR-BIBLIOTECA", "0019", None, ("0019", None)),
        ("CO-NIT", "830008886", None, "check_digit_missing"),  # org-id.guide's own example, written without its digit
        ("CO-NIT", "830008886", "0", "check_digit_wrong"),
        ("CO-NIT", "900123456", "8", ("900123456", "8")),
        ("CO-NIT", "900.123.456-8", None, ("900123456", "8")),
        ("CO-NIT", "9001234568", None, "identifier_pattern"),  # ten digits in a row do not say which is the tenth
    ],
)
def test_identifiers(scheme: str, value: str, digit: str | None, judged: object) -> None:
    assert _judge(scheme, value, digit) == judged


def test_a_persons_cuit_is_known_as_one() -> None:
    person, entity = (IdentifierIn(scheme="AR-CUIT", value=value) for value in ("20055361682", "30500010912"))
    assert (checks.of_a_person(person), checks.of_a_person(entity)) == (True, False)
