"""The sample municipality of `./tejido up --sample`: fictional, plausible, and the same on every machine for a jurisdiction.

Everything follows from `SEED`, the pack, `words.toml` and `desk.toml`, except the dates: they are counted back from today, so that
there are always requests that came this morning, that are due soon and that are overdue. Tracking codes are random, as they must.

Records go through the use cases of the services, with the clock at the moment of each: numbers, histories, alarms and events
are what they would be had it all happened. What a service loads is one transaction; it is known again by keys that only the
sample has, and then nothing is added.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tejido_local.sample import projects, registry, requests
from tejido_local.texts import say

if TYPE_CHECKING:
    from tejido_local.up import House

__all__ = ["load"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def load(house: "House") -> None:
    """Loads the sample into the house, which must be running, and says how much of it was new.

    Raises `TimeoutError` when events do not get from the registry to the projects service.
    """
    path = house.jurisdiction
    added, registered = _within(house.environments["registry"], registry.load, path)
    say("sample.registry", count=added)
    added, presented = _within(house.environments["projects"], projects.load, path, registered)
    say("sample.projects", count=added)
    say("sample.requests", count=_within(house.environments["requests"], requests.load, path, registered, presented))


def _within(environment: Mapping[str, str], act: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What `act` returns in a process with a service's environment, which a process reads only once."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork, os.environ.update, (dict(environment),)) as process:
        return process.submit(act, *args, **kwargs).result()
