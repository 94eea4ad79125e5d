"""Find out how many requests a server likes to have under way, and let no more through.

Servers differ by a factor of a hundred: one answers four at a time and lets the others wait, one answers 256 nearly as
fast as one, one sends those above its limit away (429, 503). None says which it is, so it is tried out:

- from `FIRST_LIMIT` on the limit doubles for as long as that brings clearly more words a second; where it never does,
  it halves for as long as that brings no fewer;
- later a quarter more and a fifth less are tried in turn, with longer and longer rests. More is kept where it is
  faster, less where it is as fast: words are worth as much from a server that has fewer of us waiting;
- a server that sends requests away, loses or outlasts them is asked half as much, or what it was content with before a
  trial, once for all the requests that were under way then (additive increase and multiplicative decrease, as TCP has
  it, with what is gained measured instead of supposed);
- while a server asks for a pause, nobody asks it.

Speed is measured over rounds: as many replies as may be under way, to requests that were sent within the round, while
others stand and wait. Without any waiting, more room would change nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Self

from harness.models.clock import Clock

FIRST_LIMIT = 16
"""Requests under way at first, before anything is known of the server."""
MOST_UNDER_WAY = 256
"""Never more than this; engines take about as many into one batch, and each needs a connection."""
_SMALLEST_ROUND = 16
"""Replies of a round at the least: fewer say little about speed."""
_GAIN_OF_DOUBLING = 1.2
"""Twice as many under way are kept where they are so much faster."""
_GAIN_OF_MORE = 1.05
"""A quarter more is kept where it is so much faster."""
_LOSS_OF_FEWER = 0.97
"""A fifth less is kept where it is at least so fast."""
_LONGEST_REST = 8
"""Rounds between two trials, at most."""
_SLOW_SHARE = 0.25
"""No more is tried while replies take this share of their deadline."""
_FORGOTTEN_A_ROUND = 0.9
"""How much of the slowest reply is still held against a server a round later."""
_WORDS_OF_ASKING = 16
"""What reading a question costs a server, in words written: a reply of one letter is work too."""


@dataclass(slots=True)
class _Round:
    """What came back since the limit was last decided on."""

    begin_s: float
    replies: int = 0
    words: float = 0.0


class Pace:
    """How many requests may be under way; knows no time of its own."""

    def __init__(self, most: int, *, timeout_s: float, begin_s: float = 0.0) -> None:
        """Begin with what most servers take.

        Args:
            most: The limit never passes this, at least 1.
            timeout_s: Seconds after which a request is given up.
            begin_s: When that is.
        """
        self.most = most
        self.limit = min(most, FIRST_LIMIT)
        """So many may be under way now."""
        self._timeout_s = timeout_s
        self._kept, self._kept_rate = self.limit, 0.0
        self._slowest_s = 0.0
        self._coarse = self._upward = True
        self._rest = self._next_rest = 1
        self._decided_s = begin_s
        self._round = _Round(begin_s)

    def answered(self, *, sent_s: float, now_s: float, words: float, is_full: bool) -> None:
        """Hear of a reply.

        Args:
            sent_s: When its request was sent.
            now_s: Now.
            words: How much the server wrote.
            is_full: Whether others wait for their turn.
        """
        self._slowest_s = max(self._slowest_s, now_s - sent_s)
        if not is_full:
            self._round = _Round(now_s)
        if not is_full or sent_s < self._round.begin_s:
            return
        here = self._round
        here.replies += 1
        here.words += words + _WORDS_OF_ASKING
        if here.replies >= max(self.limit, _SMALLEST_ROUND) and now_s > here.begin_s:
            self._decide(here.words / (now_s - here.begin_s), now_s)

    def overloaded(self, *, sent_s: float, now_s: float) -> None:
        """Hear that the server sent a request away, lost it or let it wait too long."""
        if sent_s < self._decided_s:
            return  # it was under way when the limit was last decided on: heeded already
        self._kept = self._kept if self.limit > self._kept else max(1, self.limit // 2)
        self._kept_rate = 0.0
        self._coarse = False
        self._turn_back(now_s)

    def _decide(self, rate: float, now_s: float) -> None:
        """Keep what was tried or go back; then rest, or try something."""
        if self.limit == self._kept:
            self._kept_rate = rate if not self._kept_rate else (self._kept_rate + rate) / 2
            self._rest -= 1
        elif rate >= self._kept_rate * self._wanted:
            self._kept, self._kept_rate = self.limit, rate
            self._rest = self._next_rest = 1
        else:
            self._turn_back(now_s)
            return
        slow = self._slowest_s >= _SLOW_SHARE * self._timeout_s
        self._slowest_s *= _FORGOTTEN_A_ROUND
        if self._coarse or self._rest <= 0:
            self.limit = self._kept if slow and self._upward else self._trial()
            if self.limit == self._kept:  # as far as it goes this way
                self._coarse, self._upward, self._rest = False, not self._upward, self._next_rest
        self._decided_s = now_s
        self._round = _Round(now_s)

    @property
    def _wanted(self) -> float:
        """How fast a trial must be, as a share of what was kept, to be kept itself."""
        if self.limit < self._kept:
            return _LOSS_OF_FEWER
        return _GAIN_OF_DOUBLING if self._coarse else _GAIN_OF_MORE

    def _trial(self) -> int:
        if self._coarse:
            return min(self.most, 2 * self._kept) if self._upward else max(1, self._kept // 2)
        step = self._kept + max(1, self._kept // 4) if self._upward else self._kept - max(1, self._kept // 5)
        return max(1, min(self.most, step))

    def _turn_back(self, now_s: float) -> None:
        """Go back to what was kept, and rest longer before the next trial, which goes the other way."""
        self._coarse = self._coarse and self._upward and self._kept <= FIRST_LIMIT
        self._upward = not self._upward
        self.limit = self._kept
        self._next_rest = min(_LONGEST_REST, 2 * self._next_rest)
        self._rest = self._next_rest
        self._decided_s = now_s
        self._round = _Round(now_s)


class Gate:
    """Lets requests through as the pace allows, in the order in which they came; lives in one event loop."""

    def __init__(self, pace: Pace, clock: Clock) -> None:
        """Begin open."""
        self.pace = pace
        self.most_under_way = 0
        """So many were under way at once at the most."""
        self._clock = clock
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until_s = clock.now_s()

    @property
    def is_full(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._waiting)

    async def __aenter__(self) -> Self:
        """Wait for a turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            while (left_s := self._paused_until_s - self._clock.now_s()) > 0:
                await self._clock.sleep(left_s)
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End a turn."""
        self._leave()

    def pause(self, seconds: float) -> None:
        """Let nobody begin for so long."""
        self._paused_until_s = max(self._paused_until_s, self._clock.now_s() + seconds)

    def _leave(self) -> None:
        self._under_way -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._under_way < self.pace.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                self.most_under_way = max(self.most_under_way, self._under_way)
                turn.set_result(None)
