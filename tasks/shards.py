"""Cut a benchmark into shards: fixed parts of its samples, in whole clusters, the same wherever they are asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import ConfigError

MOST_SHARDS = 10_000
"""More are a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of so many."""

    number: int
    """From 1."""
    of: int
    """How many parts there are."""

    def __str__(self) -> str:
        """Return it as it is typed and stored: `2/8`."""
        return f"{self.number}/{self.of}"


def shard_of(words: str) -> Shard:
    """Read `2/8`.

    Raises:
        ConfigError: It says no part, or one that is not among so many.
    """
    found = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", words.strip())
    if found is None:
        raise ConfigError(f"--shard {words!r} is not NUMBER/OF, such as 1/4")
    shard = Shard(int(found[1]), int(found[2]))
    if not 1 <= shard.number <= shard.of <= MOST_SHARDS:
        raise ConfigError(f"--shard {shard}: parts are numbered from 1 to {shard.of}, of at most {MOST_SHARDS:,}")
    return shard


def shard_indices(task: str, clusters: Iterable[str], shard: Shard) -> list[int]:
    """Return the places of a shard's rows, in the data's order.

    Clusters are put in the order of a hash of their names and dealt out in turn: parts are of equal size but for one
    cluster, and neither the machine nor the order of the rows says which is whose.

    Args:
        task: The benchmark's name; its own order for each.
        clusters: The cluster of each row.
        shard: Which part.
    """
    places: dict[str, list[int]] = {}
    for place, cluster in enumerate(clusters):
        places.setdefault(cluster, []).append(place)
    mine = dealt(task, places)[shard.number - 1 :: shard.of]
    return sorted(place for cluster in mine for place in places[cluster])


def dealt(deal: str, clusters: Iterable[str]) -> list[str]:
    """Return clusters in the order of a hash of their names, another one for each `deal`."""
    return sorted(
        clusters, key=lambda cluster: hashlib.sha256(f"{deal}\0{cluster}".encode(errors="surrogatepass")).digest()
    )
