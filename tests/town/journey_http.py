"""The journey over HTTP, from outside: against Compose, or against `./tejido up --sample`.

The petition is a letter that was received in the past and is entered now. An officer presents the project for the organization.
"""

import contextlib
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from tests.town.journey import real_or_invented_register, travel

from tejido_shared.testing import wait_until

ROOT = Path(__file__).parent.parent.parent
PASSWORD = "tejido-de-muestra"


class TownOverHttp:
    """`urls` says where each service, the identity provider and the mailbox are."""

    received_in_the_past = True

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls
        self._http = httpx2.Client(timeout=30, trust_env=False)
        self._tokens: dict[str, str] = {}

    def call(self, method: str, service: str, path: str, who: str | None = None, **options: Any) -> httpx2.Response:
        if who is not None:
            user = "evaluacion" if who.startswith("representante:") else who
            options["headers"] = {"Authorization": f"Bearer {self._token(user)}", **options.get("headers", {})}
        return self._http.request(method, self._urls[service] + path, **options)

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            asked = {"grant_type": "password", "client_id": "tejido-terminal", "username": user, "password": PASSWORD}
            answer = self._http.post(f"{self._urls['identity']}/oauth/token", data=asked)
            self._tokens[user] = answer.raise_for_status().json()["access_token"]
        return self._tokens[user]

    def mails(self, to: str) -> list[dict[str, Any]]:
        page = self._http.get(f"{self._urls['mailbox']}/messages", params={"to": to}).json()["messages"]
        return [self._http.get(f"{self._urls['mailbox']}/messages/{mail['number']}").json() for mail in page]

    def until(self, condition: Callable[[], object], what: str) -> None:
        wait_until(condition, 45, what)

    def at(self, instant: datetime) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def journey(urls: dict[str, str], handouts: Path = ROOT.parent / "shared") -> dict[str, Any]:
    """Goes the whole way; returns what the tracking showed."""
    received = datetime.fromisoformat("2026-03-27T18:30:00-05:00")
    with tempfile.TemporaryDirectory() as folder:
        register = real_or_invented_register(handouts / "data", Path(folder))
        return travel(
            TownOverHttp(urls),
            register,
            received,
            "2026-04-21",
            "martes, 21 de abril de 2026",
            received,
            "Jueves Santo",
        )
