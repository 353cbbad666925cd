"""Tell what the processor's time of a run goes for, by watching functions from outside."""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any
from unittest import mock

Place = tuple[Any, str]
"""Where a function is found: a class or module, and the function's name there."""


class Stopwatch:
    """Processor seconds of a thread, by part: a part within another counts for itself alone.

    `places` names the functions of each part. What watching costs, some 3 us a call, is
    measured beforehand and taken off.
    """

    def __init__(self, places: Mapping[str, Sequence[Place]], cost: bool = True) -> None:
        self.spent = dict.fromkeys(places, 0.0)
        self._places, self._calls = places, 0
        self._within = [0.0]  # for each watched call that is open: seconds of those in it
        self._inside, self._outside = watching_costs() if cost else (0.0, 0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch all places as long as the body runs."""
        with ExitStack() as stack:
            for part, places in self._places.items():
                for owner, name in places:
                    watched = self.watched(part, getattr(owner, name))
                    stack.enter_context(mock.patch.object(owner, name, watched))
            yield

    def watched(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted; of a generator, the time of each step."""
        if inspect.isgeneratorfunction(function):

            def stepped(*args: Any, **named: Any) -> Iterator[Any]:
                steps = function(*args, **named)
                return iter(self.watched(part, partial(next, steps, None)), None)

            return stepped

        def timed(*args: Any, **named: Any) -> Any:
            self._calls += 1
            self._within.append(0.0)
            began = time.thread_time()
            try:
                return function(*args, **named)
            finally:
                took = time.thread_time() - began
                self.spent[part] += took - self._within.pop() - self._inside
                self._within[-1] += took + self._outside

        return timed

    def shares(self, seconds: float) -> dict[str, float]:
        """Return the share of each part, and of the rest, in a run of these processor seconds."""
        whole = seconds - self._calls * (self._inside + self._outside)
        shares = {part: spent / whole for part, spent in self.spent.items()}
        return shares | {"rest": 1.0 - sum(shares.values())}


@lru_cache
def watching_costs(calls: int = 2000, rounds: int = 9) -> tuple[float, float]:
    """Return the seconds that watching a call adds to its part, and to what is around it."""
    inside, outside = [], []
    for _ in range(rounds):
        watch = Stopwatch({"nothing": []}, cost=False)
        nothing = watch.watched("nothing", lambda: None)
        began = time.thread_time()
        for _ in range(calls):
            nothing()
        whole = time.thread_time() - began
        inside.append(watch.spent["nothing"] / calls)
        outside.append(whole / calls - inside[-1])
    return statistics.median(inside), statistics.median(outside)
