"""A register of fictional organizations of Bogotá, of any length and always the same; and what it costs to import it."""

import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from stdnum.co import nit

if TYPE_CHECKING:
    from tejido_local.bench import Bench, Row

AMOUNT = 100_000
COLUMNS = (
    *("Registro", "Nombre", "Sigla", "Tipo", "Dirección", "Localidad", "Barrio", "NIT", "DV", "Situación legal"),
    *("Representante", "Correo", "Teléfono", "Latitud", "Longitud", "Fecha de constitución", "Temas", "Objeto"),
)
MAPPING: dict[str, Any] = {
    "columns": {
        "name": "Nombre",
        "public_name": "Sigla",
        "organization_type": "Tipo",
        "address": "Dirección",
        "territory": "Localidad",
        "neighborhood": "Barrio",
        "legal_status": "Situación legal",
        "contact_name": "Representante",
        "email": "Correo",
        "phone": "Teléfono",
        "latitude": "Latitud",
        "longitude": "Longitud",
        "founded_on": "Fecha de constitución",
        "themes": "Temas",
        "purpose": "Objeto",
    },
    "identifiers": {"CO-NIT": "NIT"},
    "check_digits": {"CO-NIT": "DV"},
    "key": ["Registro"],
}
_KINDS = (
    ("Junta de Acción Comunal", "Junta de Acción Comunal"),
    ("Fundación", "Fundación"),
    ("Corporación", "Asociación sin ánimo de lucro"),
    ("Asociación", "Asociación sin ánimo de lucro"),
    ("Colectivo", "Organización social"),
    ("Comité de Vecinos", "Organización comunitaria"),
    ("Cooperativa", "Cooperativa"),
)
_FIRST = [
    "Semillas",
    "Raíces",
    "Huellas",
    "Caminos",
    "Voces",
    "Manos",
    "Alas",
    "Nidos",
    "Puentes",
    "Senderos",
    "Luces",
    "Abrazos",
    "Sueños",
    "Tejedoras",
    "Guardianes",
    "Amigos",
    "Hijas",
    "Vecinas",
    "Jóvenes",
    "Abuelas",
]
_SECOND = [
    "Páramo",
    "Humedal",
    "Cerro",
    "Río",
    "Bosque",
    "Mirador",
    "Alameda",
    "Quebrada",
    "Sabana",
    "Lucero",
    "Porvenir",
    "Esperanza",
    "Libertad",
    "Alegría",
    "Amanecer",
    "Colibrí",
    "Frailejón",
    "Guayacán",
    "Yarumo",
    "Siquira",
]
_BARRIOS = [
    "La Ceiba",
    "El Roble",
    "Los Cedros",
    "San Isidro",
    "Santa Rita",
    "La Palestina",
    "Villa Nubia",
    "El Rincón",
    "Las Acacias",
    "Nueva Aurora",
    "Altos del Sol",
    "El Mirto",
    "La Estrella",
    "San Joaquín",
    "Los Nogales",
    "El Trébol",
    "La Cabaña",
    "Villa Sofía",
    "El Cortijo",
    "Las Violetas",
]
_LOCALIDADES = [
    "Usaquén",
    "Chapinero",
    "Santa Fe",
    "San Cristóbal",
    "Usme",
    "Tunjuelito",
    "Bosa",
    "Kennedy",
    "Fontibón",
    "Engativá",
    "Suba",
]
_PEOPLE = ["Ana", "Luis", "Marta", "Jorge", "Rosa", "Iván", "Luz", "Pedro", "Nelly", "Óscar"]
_FAMILIES = ["Niño", "Peña", "Ordóñez", "Muñoz", "Rincón", "Suárez", "Cárdenas", "Beltrán", "Ospina", "Zúñiga"]
_THEMES = ["Cultura;Deporte y recreación", "Ambiente", "Educación y apoyo escolar;Cultura", "Cuidados", ""]


def rows(amount: int, seed: int = 2026) -> Iterator[list[str]]:
    """The first rows of the register; fewer are the beginning of more."""
    rng = Random(seed)
    for n in range(amount):
        form, kind = _KINDS[rng.randrange(len(_KINDS))]
        first, second, barrio = rng.choice(_FIRST), rng.choice(_SECOND), rng.choice(_BARRIOS)
        base = f"{800_000_000 + n}"
        yield [
            f"R-{n:07d}",
            f"{form} {first} del {second} {barrio} {n}",
            f"{first[:2]}{second[:2]}{n}".upper() if rng.random() < 0.3 else "",
            kind,
            f"Calle {rng.randint(1, 200)} # {rng.randint(1, 120)}-{rng.randint(1, 99):02d}",
            rng.choice(_LOCALIDADES),
            barrio,
            *((base, nit.calc_check_digit(base)) if rng.random() < 0.6 else ("", "")),
            rng.choice(("con personería", "en trámite", "grupo de hecho")) if form != "Cooperativa" else "",
            f"{rng.choice(_PEOPLE)} {rng.choice(_FAMILIES)} {rng.choice(_FAMILIES)}",
            f"o{n}@example.org" if rng.random() < 0.7 else "",
            f"31{rng.randrange(10)} {rng.randrange(2_000_000, 9_999_999)}",
            *(
                (f"{rng.uniform(4.5, 4.8):.6f}", f"{rng.uniform(-74.2, -74.02):.6f}")
                if rng.random() < 0.8
                else ("", "")
            ),
            f"{rng.randint(1, 28):02d}/{rng.randint(1, 12):02d}/{rng.randint(1960, 2025)}",
            rng.choice(_THEMES),
            f"Reunir a la gente de {barrio} alrededor de lo que le importa" if rng.random() < 0.5 else "",
        ]


def write(path: Path, amount: int, seed: int = 2026) -> None:
    """As other registers come: with semicolons, in Latin-1."""
    with path.open("w", encoding="latin-1", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(COLUMNS)
        writer.writerows(rows(amount, seed))


def import_rows(bench: "Bench") -> "Iterator[Row]":
    """The command over `AMOUNT` organizations, twice: seconds, and the memory of its process."""
    from tejido_local.bench import Row

    bench.migrate("registry")
    folder = Path(bench.town.environment["TEJIDO_FILES"])
    register, mapping = folder / "register.csv", folder / "mapping.json"
    write(register, AMOUNT)
    mapping.write_text(json.dumps(MAPPING), "utf-8")
    for name, counted in (("import of", "created"), ("the same again,", "unchanged")):
        started = time.perf_counter()
        report, most = _run(bench, register, mapping)
        took = time.perf_counter() - started
        assert report[counted] == AMOUNT, {key: value for key, value in report.items() if key != "problems"}
        label = f"{name} {AMOUNT:,} organizations"
        yield Row(label, f"{took:.0f} s", "300 s", [took / 300], 1, at_most=True)
        yield Row(f"{label}: memory", f"{most / 2**20:.0f} MiB", "1,024 MiB", [most / 2**30], 1, at_most=True)


def _run(bench: "Bench", register: Path, mapping: Path) -> tuple[dict[str, Any], int]:
    """What the command reported, and the most bytes its process had in memory."""
    command = (sys.executable, "-m", "tejido_registry", "import", register, "--source", "bench", "--mapping", mapping)
    done = subprocess.run(
        [*map(str, command), "--json"], env=bench.town.environment, capture_output=True, text=True, check=True
    )
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return dict(json.loads(done.stdout)), most
