"""How many requests are under way: simulated servers that differ in what they like."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from harness.models.pace import FIRST_LIMIT, Pace


def simulated(pace: Pace, requests: int, speed: Callable[[int], float], *, refuses_above: int = 10**9, seed: int = 0):
    """Ask a simulated server; return the seconds that it took and the limits after each reply.

    Args:
        pace: What is tried out.
        requests: How many.
        speed: From requests under way to the words a second that the server writes of each.
        refuses_above: With more under way it sends a request away, after a tenth of a second.
        seed: Of how long answers are: 20 to 200 words, many of them short.
    """
    rng = random.Random(seed)
    now, todo, limits = 0.0, requests, []
    under_way: list[list[float]] = []
    while todo or under_way:
        while todo and len(under_way) < pace.limit:
            if len(under_way) >= refuses_above:
                now += 0.1
                pace.overloaded(sent_s=now, now_s=now)
                continue
            words = 20 + min(180.0, rng.expovariate(1 / 40))
            heapq.heappush(under_way, [words, now, words])
            todo -= 1
        left, sent, words = heapq.heappop(under_way)
        now += left / speed(len(under_way) + 1)
        for other in under_way:
            other[0] -= left
        pace.answered(sent_s=sent, now_s=now, words=words, is_full=todo > 0)
        limits.append(pace.limit)
    return now, limits


def likes(best: int) -> Callable[[int], float]:
    """A server that writes 10 words a second for each of `best`, and shares what it has among more."""
    return lambda under_way: 10.0 * min(1.0, best / under_way)


def spoilt_above(best: int) -> Callable[[int], float]:
    """A server that gets slower altogether the more it has above `best`."""
    return lambda under_way: 10.0 * min(1.0, (best / under_way) ** 2)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("kind", "best"),
    [(likes, best) for best in (1, 4, 16, 32, 64, 200)] + [(spoilt_above, best) for best in (4, 16, 32, 64, 200)],
)
def test_a_server_is_asked_about_as_fast_as_it_can(kind, best, seed):
    took, limits = simulated(Pace(256, timeout_s=600.0), 3000, kind(best), seed=seed)
    knowing, _ = simulated(Pace(best, timeout_s=600.0), 3000, kind(best), seed=seed)

    assert took < 1.25 * knowing
    assert best / 2 <= sorted(limits)[len(limits) // 2] <= max(2 * best, 2 * FIRST_LIMIT)


def test_nothing_passes_the_bound():
    for most in (1, 3, 16, 40):
        _, limits = simulated(Pace(most, timeout_s=600.0), 500, likes(64))
        assert max(limits) <= most


def test_a_server_that_sends_requests_away_is_asked_as_much_as_it_takes():
    _, limits = simulated(Pace(256, timeout_s=600.0), 3000, likes(1000), refuses_above=24)

    late = limits[1000:]
    assert 12 <= sorted(late)[len(late) // 2] <= 32


def test_what_was_under_way_when_a_server_was_first_overloaded_counts_once():
    pace = Pace(64, timeout_s=600.0, begin_s=0.0)
    for _ in range(16):
        pace.overloaded(sent_s=1.0, now_s=2.0)

    assert pace.limit == FIRST_LIMIT // 2


def test_a_server_that_is_overloaded_again_and_again_is_still_asked():
    pace = Pace(64, timeout_s=600.0)
    for place in range(30):
        pace.overloaded(sent_s=place + 0.5, now_s=place + 0.9)

    assert pace.limit == 1


def test_nobody_asks_for_more_of_a_server_whose_replies_are_almost_late():
    _, slow = simulated(Pace(256, timeout_s=30.0), 1000, likes(64))
    _, fast = simulated(Pace(256, timeout_s=600.0), 1000, likes(64))

    assert max(slow) <= 2 * FIRST_LIMIT < max(fast)


def test_without_others_that_wait_nothing_is_learnt():
    pace = Pace(256, timeout_s=600.0)
    for place in range(200):
        pace.answered(sent_s=place, now_s=place + 1.0, words=10, is_full=False)

    assert pace.limit == FIRST_LIMIT
