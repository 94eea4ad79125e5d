"""Reads lmms-eval's generation arguments into one frozen value; what is not understood is refused by name.

Peers drop arguments that they do not know (`repetition_penalty`, `until`...) without a word, and the checkpoint's own
generation_config.json fills the gaps, also in vLLM's server. Here an argument that is not given is neutral (greedy, one
beam, no penalty) and is sent to a server as that. Two checkpoints are then decoded alike, and the arguments in the
manifest are the whole truth; what a server refuses, and so may fill by itself, stands beside them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from harness.errors import ConfigError, did_you_mean

DEFAULT_MAX_NEW_TOKENS = 1024
"""Room for a caption, boxes and an answer; stock budgets of 16 to 128 tokens cut the answer off."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated from a prompt."""

    max_new_tokens: int = DEFAULT_MAX_NEW_TOKENS
    """Most tokens to generate; at least 1."""
    temperature: float = 0.0
    """0 is greedy (or beam) search; above 0, sampling."""
    top_p: float = 1.0
    """Sampling keeps the most likely tokens that reach this probability together, in (0, 1]."""
    top_k: int = 0
    """Sampling keeps this many most likely tokens; 0 keeps all."""
    min_p: float = 0.0
    """Sampling keeps tokens at least this share as likely as the most likely one, in [0, 1]."""
    num_beams: int = 1
    """Beams of the search; more than 1 only without sampling."""
    repetition_penalty: float = 1.0
    """Divides the odds of tokens seen before; 1 is none."""
    until: tuple[str, ...] = ()
    """Stop strings; the text ends before the first of them."""

    @property
    def sampled(self) -> bool:
        """Whether tokens are drawn at random."""
        return self.temperature > 0


def read_decoding(arguments: Mapping[str, object], where: str) -> Decoding:
    """Read lmms-eval generation arguments.

    `do_sample` is understood: false makes any temperature greedy, as the most likely token does not depend on it; true
    with temperature 0 contradicts itself. None means "not given". An empty mapping is greedy.

    Args:
        arguments: From the task's YAML and `--gen_kwargs`.
        where: Where they come from, for the error message, such as `task satori_mmstar`.

    Raises:
        ConfigError: an argument is unknown, has the wrong type, is out of range, or contradicts another.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    do_sample = given.pop("do_sample", None)
    if do_sample is not None and not isinstance(do_sample, bool):
        raise ConfigError(f"{where}: do_sample is {do_sample!r}; give true or false")
    known = [field.name for field in fields(Decoding)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, [*known, "do_sample"])
            raise ConfigError(
                f"{where}: unknown generation argument {name!r}.{hint} Known are do_sample, {', '.join(known)}"
            )
    # Without do_sample a temperature means sampling, as in lmms-eval; sampling without a temperature means 1.
    default_temperature = 1.0 if do_sample else 0.0
    decoding = Decoding(
        max_new_tokens=_whole(given, "max_new_tokens", DEFAULT_MAX_NEW_TOKENS, where),
        temperature=0.0 if do_sample is False else _number(given, "temperature", default_temperature, where),
        top_p=_number(given, "top_p", 1.0, where),
        top_k=_whole(given, "top_k", 0, where),
        min_p=_number(given, "min_p", 0.0, where),
        num_beams=_whole(given, "num_beams", 1, where),
        repetition_penalty=_number(given, "repetition_penalty", 1.0, where),
        until=_stop_strings(given.get("until"), where),
    )
    _check(decoding, where, must_sample=bool(do_sample))
    return decoding


def cut_at_stop(text: str, until: Sequence[str]) -> tuple[str, bool]:
    """Return the text before the first stop string, and whether there was one."""
    ends = [end for end in (text.find(stop) for stop in until) if end >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def sample_seed(seed: int, task: str, doc_id: int, repeat: int) -> int:
    """Return the seed of one sample's randomness; any two samples have unrelated ones."""
    digest = hashlib.sha256(f"{seed}\0{task}\0{doc_id}\0{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _check(decoding: Decoding, where: str, *, must_sample: bool) -> None:
    """Raise ConfigError with every value that is out of range or contradicts another."""
    ranges = {
        "max_new_tokens must be at least 1": decoding.max_new_tokens >= 1,
        "temperature must be 0 or more": decoding.temperature >= 0,
        "top_k must be 0 or more": decoding.top_k >= 0,
        "num_beams must be at least 1": decoding.num_beams >= 1,
        "repetition_penalty must be above 0": decoding.repetition_penalty > 0,
        "min_p must lie in [0, 1]": 0 <= decoding.min_p <= 1,
        # Stock greedy tasks write top_p: 0, which changes nothing there.
        "top_p must lie in (0, 1] when sampling": not decoding.sampled or 0 < decoding.top_p <= 1,
        "beams and sampling exclude each other": not decoding.sampled or decoding.num_beams == 1,
        "do_sample: true contradicts temperature 0": not must_sample or decoding.sampled,
    }
    broken = [rule for rule, kept in ranges.items() if not kept]
    if broken:
        raise ConfigError(f"{where}: {'; '.join(broken)}")


def _number(given: Mapping[str, object], name: str, default: float, where: str) -> float:
    """Return a finite number."""
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}: {name} is {value!r}; give a number")
    return float(value)


def _whole(given: Mapping[str, object], name: str, default: int, where: str) -> int:
    """Return a whole number."""
    value = _number(given, name, default, where)
    if not value.is_integer():
        raise ConfigError(f"{where}: {name} is {value!r}; give a whole number")
    return int(value)


def _stop_strings(value: object, where: str) -> tuple[str, ...]:
    """Return the stop strings; one string, a list of them or nothing."""
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return ()
    if not isinstance(stops, list | tuple):
        raise ConfigError(f"{where}: until is {value!r}; give a list of non-empty strings")
    texts = [stop for stop in cast("list[object]", stops) if isinstance(stop, str) and stop]
    if len(texts) != len(cast("list[object]", stops)):
        raise ConfigError(f"{where}: until is {value!r}; give a list of non-empty strings")
    return tuple(texts)
