"""The municipality that the records are of: its pack, its words, its days, its people."""

import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from tejido_shared.clock import moved_to, now
from tejido_shared.jurisdiction import load as load_pack

SEED = "tejido 1"
Step = tuple[datetime, Callable[[], object]]
_WORDS = ("words.toml", "desk.toml")


def sample_id(kind: str, name: object) -> UUID:
    """The fixed key of something of the sample: organization 1, user funcionaria (as the identity provider makes it) …"""
    return uuid5(NAMESPACE_URL, f"https://tejido.example/sample/{kind}/{name}")


def play(steps: Iterable[Step]) -> None:
    """Takes each step with the clock at its instant, in order of time."""
    for instant, act in sorted(steps, key=itemgetter(0)):
        with moved_to(instant):
            act()


class Town:
    """What the records of a jurisdiction are made of, as of now."""

    def __init__(self, path: Path) -> None:
        self.pack = load_pack(path)
        files = [tomllib.loads(Path(__file__).with_name(name).read_text("utf-8")) for name in _WORDS]
        self.words: dict[str, Any] = {}
        for section in ("generic", self.pack.country, self.pack.code):
            for key, value in (item for file in files for item in file.get(section, {}).items()):
                self.words[key] = self.words.get(key, {}) | value if isinstance(value, dict) else value
        self.now = now()
        self.today = self.now.astimezone(self.pack.zone).date()
        self._closed = {day for closure in self.pack.closures for day in closure.days()}

    def rng(self, kind: str, n: int = 0) -> Random:
        """Each record draws by itself, so that none depends on the dates of another."""
        return Random(f"{SEED} {self.pack.code} {kind} {n}")

    def said_of(self, kind: str, code: str) -> list[Any]:
        texts: dict[str, list[Any]] = self.words[kind]
        return texts.get(code, texts["_"])

    def is_open(self, day: date) -> bool:
        return self.pack.counting.weekdays[day.weekday()] == "1" and day not in self._closed

    def open_days(self, after: date, until: date) -> list[date]:
        """The open days strictly after one day and up to another."""
        days = (after + timedelta(days=n) for n in range(1, (until - after).days + 1))
        return [day for day in days if self.is_open(day)]

    def at(self, day: date, hour: float) -> datetime:
        return datetime.combine(day, time_of_day(), self.pack.zone) + timedelta(hours=hour)

    def at_work(self, rng: Random, day: date) -> datetime:
        """In office hours of that day or of the last open one before it."""
        hour = rng.uniform(8, 16)
        while not self.is_open(day):
            day -= timedelta(days=1)
        return self.at(day, hour)

    def soon(self, rng: Random, after: datetime, within: int = 3, until: date | None = None) -> datetime:
        """In office hours of one of the next open days, `until` at most; the same day, but not in the future, where there is none."""
        hour, share = rng.uniform(8, 16), rng.uniform(0.2, 0.6)
        last = min(self.today - timedelta(days=1), until or self.today)
        days = self.open_days(after.astimezone(self.pack.zone).date(), last)[:within]
        return self.at(rng.choice(days), hour) if days else after + min(self.now - after, timedelta(hours=2)) * share

    def course(self, rng: Random, ages: list[int]) -> list[datetime]:
        """An instant in office hours for each of these days ago, each after the one before."""
        instants: list[datetime] = []
        for age in ages:
            instant = self.at_work(rng, self.today - timedelta(days=age))
            instants.append(max(instant, instants[-1] + timedelta(minutes=20)) if instants else instant)
        return instants

    def person(self, rng: Random) -> str:
        return " ".join(rng.choice(self.words[kind]) for kind in ("given_names", "surnames", "plant_surnames"))

    def place(self, barrio: str) -> str:
        """The territory a barrio lies in."""
        territories = self.words["territories"]
        name: str = territories[self.words["barrios"].index(barrio) % len(territories)][0]
        return name

    def spot(self, rng: Random, territory: str) -> tuple[str | None, float | None, float | None]:
        """The area of the pack that a territory is, and a point in it, latitude and longitude, as far as they are known."""
        names = [name for name, *_ in self.words["territories"]]
        areas = {area.name: area.code for area in self.pack.areas}
        area = areas.get(territory)
        if area is None and areas:
            area = [*areas.values()][names.index(territory) % len(areas)]
        centre, spread = self.words["territories"][names.index(territory)][1:], self.words["spread"]
        point = [round(degrees + rng.uniform(-spread, spread), 6) for degrees in centre] or [None, None]
        return area, point[0], point[1]

    def officer(self, office: str, n: int = 1) -> str:
        """The account of an officer of an office, the first or the second. The identity provider knows the first of two offices."""
        users = dict(zip((one.code for one in self.pack.offices), ("funcionaria", "funcionario"), strict=False))
        first = users.get(office, f"funcionario-{office}")
        return str(sample_id("user", first if n == 1 else f"funcionario-{office}-{n}"))

    def head(self, office: str) -> str:
        """The account of the head of an office."""
        return str(sample_id("user", "jefatura" if office == self.pack.offices[0].code else f"jefatura-{office}"))

    def phone(self, rng: Random) -> str | None:
        number = rng.randrange(100)
        return rng.choice(self.words["phones"]).format(number=number) if self.words["phones"] else None


def spread(rng: Random, of_each_hundred: Mapping[str, int], count: int) -> list[str]:
    """So many names in random order, in these proportions."""
    hundred = [name for name, times in of_each_hundred.items() for _ in range(times)]
    rng.shuffle(hundred)
    return [hundred[n % len(hundred)] for n in range(count)]


def shortest_path(rng: Random, steps: Mapping[str, Collection[str]], start: str, goal: str) -> list[str]:
    """A shortest way from one state to another, both included; empty where there is none."""
    paths, reached = {start: [start]}, [start]
    for state in reached:
        for to in rng.sample(sorted(steps[state]), len(steps[state])):
            if to not in paths:
                paths[to] = [*paths[state], to]
                reached.append(to)
    return paths.get(goal, [])
