"""Name protocols with the version of the program whose rules they follow, and read such names.

A protocol is called by a short word everywhere: `vlmevalkit`. What a score was made by is that word and a version:
`vlmevalkit@e8e78f05` is VLMEvalKit at that commit, `strict@6` our own rules at that `SCORER_VERSION`. Whoever gives a
versioned word wants just that version: another one is refused, never scored by rules that are near it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from harness.errors import ConfigError, did_you_mean
from harness.values import NATIVE, PROTOCOLS, Protocol

PEER_VERSIONS: Mapping[Protocol, str] = MappingProxyType(
    {
        "paper": "7faa5b47",  # VLMEvalKit of 2025-03-10, the parent of SATORI's released evaluation code
        "vlmevalkit": "e8e78f05",  # VLMEvalKit of 2026-08-18
        "lmms-eval": "0.7.3",  # its release on PyPI
        NATIVE: "0.7.3",  # no rule of ours: its own code
    }
)
"""The version of each other program that our rules were read from. Every run of ours up to here was scored by these:
`version_of` may take them for a run that does not say."""


def versioned(protocol: Protocol, scorer_version: int) -> str:
    """Return a protocol with the version of its rules, such as `strict@6`.

    Args:
        protocol: Whose rules.
        scorer_version: Version of our own; 0 where a run of before does not tell, whose `strict` then has none.
    """
    version = PEER_VERSIONS.get(protocol, str(scorer_version) if scorer_version else "")
    return f"{protocol}@{version}" if version else protocol


def protocol_named(words: str, known: Collection[Protocol] = PROTOCOLS) -> Protocol:
    """Return the protocol that a person names, by its short word or with the version that is followed here.

    Raises:
        ConfigError: No protocol is called so, or it is another version of one.
    """
    name, at, _ = words.partition("@")
    found: Protocol | None = next((protocol for protocol in known if protocol == name), None)
    if found is None:
        hint = did_you_mean(name, list(known))
        raise ConfigError(f"{words[:80]!r} is no protocol: give one of {', '.join(known)}.{hint}")
    if not at:
        return found
    from harness.scoring.score import SCORER_VERSION  # noqa: PLC0415 - what scores is loaded for a version alone

    followed = versioned(found, SCORER_VERSION)
    if words != followed:
        raise ConfigError(
            f"{words[:80]!r} is not the version that this satori-bench follows, {followed}: give {found!r} for that "
            "one, or use the satori-bench that follows yours"
        )
    return found
