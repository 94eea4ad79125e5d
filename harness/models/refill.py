"""No sample waits for the longest answer of its batch: a row that ends makes room for the next prompt.

While the model writes, a thread of its own makes the inputs of the next prompts (tokens, patches).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from transformers import BatchFeature

from harness.models.base import Prompt, is_out_of_memory
from harness.models.refilled_rows import RefilledRows, Row
from harness.values import Generation, Size


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts that are read together."""

    prompts: Sequence[Prompt]
    """All with pictures, or all without."""
    inputs: BatchFeature
    """The model's inputs, padded on the left, on the CPU."""
    input_sizes: Sequence[Size | None]
    """Size of each prompt's first image as the model sees it."""
    input_tokens: Sequence[int]
    """Length of each prompt."""
    picture_names: tuple[bytes, ...]
    """What tells their pictures apart, in order, for features that are remembered."""


Refused: TypeAlias = tuple[Prompt, Exception]
"""A prompt that there are no inputs of, and why."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What a backend does for its prompts, one step at a time."""

    inputs_of: Callable[[Sequence[Prompt]], Group]
    """Makes inputs, in a thread; raises where a prompt cannot be asked."""
    begin: Callable[[Group], RefilledRows]
    """Reads prompts and writes the first token of each."""
    generation: Callable[[Row], Generation]
    """Makes text of a row that is complete; raises BrokenLogitsError."""
    guard: Callable[[], AbstractContextManager[object]]
    """Holds each step on the device; an interruption waits for its end."""


def answers(
    prompts: Iterator[Prompt], steps: Steps, *, most_rows: int, together: int
) -> Iterator[tuple[Prompt, Generation | Exception]]:
    """Yield each prompt with what was written to it, as soon as it is.

    Args:
        prompts: All of one decoding; more may come after its end while any is in flight.
        steps: What is done for them.
        most_rows: Prompts that are written to at once.
        together: Prompts that are read at once, where there are so many; no more than `most_rows`.
    """
    running: RefilledRows | None = None
    ahead = _Ahead(prompts, steps.inputs_of, together)
    try:
        while True:
            count = 0 if running is None else len(running.rows)
            if (not count or most_rows - count >= together) and (made := ahead.take()) is not None:
                groups, refused = made
                yield from refused
                for group in groups:
                    begun, refused = _begun(group, steps)
                    yield from refused
                    for other in begun:
                        yield from _complete(other, steps)
                        if running is None or not running.rows:
                            running = other
                        elif other.rows:
                            running.join(other)
                continue
            if running is None or not running.rows:
                return
            with steps.guard():
                running.step()
            yield from _complete(running, steps)
    finally:
        ahead.close()


def _complete(rows: RefilledRows, steps: Steps) -> Iterator[tuple[Prompt, Generation | Exception]]:
    """Yield what rows have ended, which make room."""
    for row in rows.take_ended():
        try:
            generation = steps.generation(row)
        except Exception as error:  # noqa: BLE001 - whoever asked says what it means
            yield row.prompt, error
        else:
            yield row.prompt, generation


def _begun(group: Group, steps: Steps) -> tuple[list[RefilledRows], list[Refused]]:
    """Read prompts; where that fails, one by one, to find whose fault it is."""
    try:
        with steps.guard():
            return [steps.begin(group)], []
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if len(group.prompts) == 1:
            return [], [(group.prompts[0], error)]
    groups, refused = _groups(group.prompts, steps.inputs_of, 1)
    begun: list[RefilledRows] = []
    for alone in groups:
        found, more = _begun(alone, steps)
        begun += found
        refused += more
    return begun, refused


def _groups(
    prompts: Sequence[Prompt], inputs_of: Callable[[Sequence[Prompt]], Group], size: int
) -> tuple[list[Group], list[Refused]]:
    """Make inputs of prompts; where that fails, one by one, to find whose fault it is."""
    groups: list[Group] = []
    refused: list[Refused] = []
    for start in range(0, len(prompts), size):
        some = prompts[start : start + size]
        try:
            groups.append(inputs_of(some))
        except Exception as error:  # noqa: BLE001 - processors raise anything
            if len(some) == 1:
                refused.append((some[0], error))
                continue
            more, others = _groups(some, inputs_of, 1)
            groups += more
            refused += others
    return groups, refused


class _Ahead:
    """Inputs of the next prompts, made in a thread while the model works on others: of `size` prompts, no more."""

    def __init__(self, prompts: Iterator[Prompt], inputs_of: Callable[[Sequence[Prompt]], Group], size: int) -> None:
        self._prompts = prompts
        self._inputs_of = inputs_of
        self._size = size
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="satori-inputs")
        self._making: Future[tuple[list[Group], list[Refused]]] | None = None
        self._left: Prompt | None = None

    def take(self) -> tuple[list[Group], list[Refused]] | None:
        """Return the next inputs, and begin with those after them; None where there is no prompt."""
        making = self._making or self._begin()
        if making is None:
            return None
        self._making = self._begin()
        return making.result()

    def close(self) -> None:
        """Make no more."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self) -> Future[tuple[list[Group], list[Refused]]] | None:
        """Begin to make inputs of prompts of one kind: processors want pictures with all texts, or with none."""
        some: list[Prompt] = []
        while len(some) < self._size:
            prompt, self._left = self._left or next(self._prompts, None), None
            if prompt is None:
                break
            if some and bool(prompt.images) != bool(some[0].images):
                self._left = prompt
                break
            some.append(prompt)
        return self._pool.submit(_groups, some, self._inputs_of, self._size) if some else None
