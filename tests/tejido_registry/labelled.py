"""Pairs of organizations of which it is known whether they are one, made from real registers with the errors that people make."""

import csv
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

Pair = tuple[int, int]


@dataclass(frozen=True)
class Record:
    """An organization as `duplicates.profiles` takes it."""

    id: int
    name: str
    locality: str | None = None
    territory: str | None = None
    address: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    phone: str | None = None
    public_name: str | None = None
    other_names: tuple[str, ...] = ()
    area: str | None = None


@dataclass
class Labelled:
    records: list[Record] = field(default_factory=list)
    same: set[Pair] = field(default_factory=set)
    different: dict[Pair, str] = field(default_factory=dict)
    """With why they look alike."""

    def add(self, record: Record) -> Record:
        record = replace(record, id=len(self.records))
        self.records.append(record)
        return record


def build(folder: Path, seed: int, pairs: int = 300) -> Labelled:
    """The organizations of both real files, with `pairs` of them entered a second time, and half as many near ones of each sort."""
    rng = random.Random(seed)
    made = Labelled()
    for record in [*_libraries(folder), *_associations(folder)]:
        made.add(record)
    originals = list(made.records)
    for original in rng.sample(originals, pairs):
        again = made.add(_again(rng, original))
        made.same.add((original.id, again.id))
    _same_name_elsewhere(rng, made, originals, pairs // 2)
    _sectors(rng, made, originals, pairs // 2)
    _neighbours(rng, made, originals, pairs // 2)
    return made


def _libraries(folder: Path) -> list[Record]:
    with (folder / "bibliotecas_populares.csv").open(encoding="utf-8-sig") as file:
        return [
            Record(
                0,
                row["biblioteca"].strip(),
                row["localidad"].strip() or None,
                row["departamento"].strip() or None,
                row["domicilio"].strip() or None,
                float(row["lat"]) if row["lat"] else None,
                float(row["long"]) if row["long"] else None,
            )
            for row in csv.DictReader(file)
        ]


def _associations(folder: Path) -> list[Record]:
    found: dict[tuple[str, str], Record] = {}
    with (folder / "asociaciones_alcala.csv").open(encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            record = Record(
                0,
                row["ASOCIACION"].strip(),
                "Alcalá de Henares",
                row["DISTRITO"].strip() or None,
                row["DOMICILIO"].strip() or None,
                public_name=row["SIGLAS"].strip() or None,
            )
            found.setdefault((record.name, record.address or ""), record)
    return list(found.values())


# The same organization, as somebody else writes it


def _again(rng: random.Random, one: Record) -> Record:
    name = one.name
    for spoil in rng.sample(_SPOILERS, rng.choice([1, 1, 2, 2, 3])):
        name = spoil(rng, name)
    at: dict[str, Any] = {"latitude": one.latitude, "longitude": one.longitude}
    if one.latitude is not None and one.longitude is not None:
        shift = rng.choice([0.0, 0.0005, 0.0015])
        at = {
            "latitude": one.latitude + rng.uniform(-shift, shift),
            "longitude": one.longitude + rng.uniform(-shift, shift),
        }
        if rng.random() < 0.4:
            at = {"latitude": None, "longitude": None}
    return replace(
        one,
        name=name,
        address=None if rng.random() < 0.3 else _spoilt_address(rng, one.address),
        territory=None if rng.random() < 0.4 else one.territory,
        locality=_no_accents(rng, one.locality) if one.locality and rng.random() < 0.5 else one.locality,
        public_name=None if rng.random() < 0.5 else one.public_name,
        **at,
    )


def _no_accents(_: random.Random, text: str) -> str:
    return re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", text))


def _capitals(rng: random.Random, text: str) -> str:
    return rng.choice([text.upper(), text.title(), text.lower()])


_SHORT = {
    "Asociación": "Asoc.",
    "Asociacion": "Asoc.",
    "Biblioteca": "Bib.",
    "Popular": "Pop.",
    "Cultural": "Cult.",
    "Deportivo": "Dep.",
    "Deportiva": "Dep.",
    "Sociedad": "Soc.",
    "Fundación": "Fund.",
    "Fundacion": "Fund.",
    "General": "Gral.",
    "Santa": "Sta.",
    "Doctor": "Dr.",
    "Agrupacion": "Agrup.",
    "Federacion": "Fed.",
}
_LONG = {
    "Bib": "Biblioteca",
    "Pop": "Popular",
    "Asoc": "Asociación",
    "Cult": "Cultural",
    "Pub": "Pública",
    "Amig": "Amigos",
    "Esc": "Escuela",
    "Dr": "Doctor",
    "Gral": "General",
    "Prof": "Profesor",
    "Soc": "Sociedad",
}


def _abbreviations(_: random.Random, text: str) -> str:
    if re.search(r"\b(Bib|Asoc|Soc)\.", text):
        for short, whole in _LONG.items():
            text = re.sub(rf"\b{short}\.\s*", f"{whole} ", text)
        return text.strip()
    for whole, short in _SHORT.items():
        text = re.sub(rf"\b{whole}\b", short, text, flags=re.IGNORECASE)
    return text


def _swapped(rng: random.Random, text: str) -> str:
    words = text.split()
    if len(words) < 3:
        return text
    at = rng.randrange(len(words) - 1)
    words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


def _typing_error(rng: random.Random, text: str) -> str:
    found = [
        match for match in re.finditer(r"[^\W\d_]{5,}", text) if match.group().lower() not in ("biblioteca", "popular")
    ]
    if not found:
        return text
    match = rng.choice(found)
    word = list(match.group())
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            word[at] = rng.choice("aeionrstl")
        case 1:
            word[at], word[at + 1] = word[at + 1], word[at]
        case 2:
            del word[at]
        case _:
            word.insert(at, rng.choice([word[at], *"aeionrstl"]))
    return text[: match.start()] + "".join(word) + text[match.end() :]


def _joining_words(_: random.Random, text: str) -> str:
    return " ".join(word for word in text.split() if word.lower() not in ("de", "del", "la", "el", "los", "las", "y"))


def _signs(rng: random.Random, text: str) -> str:
    return re.sub(r"[.,]\s*", rng.choice([" ", ". ", ""]) if " " in text else " ", text)


_SPOILERS: list[Callable[[random.Random, str], str]] = [
    _no_accents,
    _capitals,
    _abbreviations,
    _swapped,
    _typing_error,
    _typing_error,
    _joining_words,
]


def _spoilt_address(rng: random.Random, text: str | None) -> str | None:
    if text is None:
        return None
    for long, short in (("Calle ", "C/ "), ("Avenida", "Av."), ("AVDA", "AVENIDA"), ("C/", "CALLE"), ("Av.", "Avda. ")):
        if long in text and rng.random() < 0.6:
            text = text.replace(long, short)
    return _typing_error(rng, text) if rng.random() < 0.3 else _capitals(rng, text)


# Two that look like one


def _same_name_elsewhere(rng: random.Random, made: Labelled, originals: list[Record], count: int) -> None:
    by_name = defaultdict(list)
    for one in originals:
        by_name[one.name].append(one)
    found = [
        (one.id, other.id)
        for same in by_name.values()
        for one, other in combinations(same, 2)
        if one.locality != other.locality
    ]
    made.different |= dict.fromkeys(rng.sample(found, count), "same name in another town")


_ENDINGS = [
    ("", " II Sector"),
    ("", " Segunda Etapa"),
    (" I", " II"),
    (" I Sector", " II Sector"),
    (" Manzana 3", " Manzana 5"),
    (" Primera Etapa", " Tercera Etapa"),
    (" Sector 1", " Sector 4"),
    (" Norte", " Sur"),
    (" Manzana A", " Manzana B"),
]


def _sectors(rng: random.Random, made: Labelled, originals: list[Record], count: int) -> None:
    """Two neighbouring barrios' organizations, which only a number tells apart; they even share a telephone now and then."""
    for original in rng.sample(originals, count):
        first, second = rng.choice(_ENDINGS)
        phone = f"+5731{rng.randrange(10)}{rng.randrange(2_000_000, 9_999_999)}" if rng.random() < 0.2 else None
        town, elsewhere = f"Villa {original.id}", None
        if original.latitude is not None:
            elsewhere = original.latitude + (2.0 if original.latitude < 0 else -2.0)
        one = made.add(
            replace(original, name=original.name + first, locality=town, phone=phone, address=None, latitude=elsewhere)
        )
        beside = elsewhere and elsewhere + rng.uniform(0.001, 0.006)
        name = _SPOILERS[rng.randrange(2)](rng, original.name) + second
        other = made.add(replace(one, name=name, latitude=beside))
        made.different[one.id, other.id] = "another sector"


def _neighbours(rng: random.Random, made: Labelled, originals: list[Record], count: int) -> None:
    """Organizations at one address: half of a town's are."""
    by_address = defaultdict(list)
    for one in originals:
        if one.address:
            by_address[one.locality, one.address].append(one)
    found = [
        (one.id, other.id)
        for same in by_address.values()
        for one, other in combinations(same, 2)
        if one.name[:12] != other.name[:12]
    ]
    made.different |= dict.fromkeys(rng.sample(found, min(count, len(found))), "neighbours")
