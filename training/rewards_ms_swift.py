"""The rewards for ms-swift's GRPO: classes for its registry `orms`, called with completions and columns.

A file for `--external_plugins` holds two lines, and `--reward_funcs` then names what was entered:

    from training.rewards_ms_swift import register
    register(box_frame="input_px", min_pixels=200704, max_pixels=401408)
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from training.stages.rewards import RewardName
from training.stages.row_rewards import RowRewards, read_options, rows_of


def reward_classes(base: type, **options: Any) -> dict[str, type]:
    """Return a class for each reward, by the name that `--reward_funcs` takes.

    Args:
        base: ms-swift's `ORM`.
        options: As `RewardOptions`.

    Raises:
        ConfigError: An option is wrong.
    """
    rewards = RowRewards(read_options(options))  # one for all: each batch is scored once
    return {
        f"satori_{name}": type(f"satori_{name}", (base,), {"__call__": _call(rewards, name)})
        for name in rewards.options.names
    }


def register(orms: MutableMapping[str, Any] | None = None, base: type | None = None, **options: Any) -> list[str]:
    """Enter the rewards into ms-swift's registry and return their names.

    Args:
        orms: The registry; None takes ms-swift's own.
        base: Class that rewards derive from; None takes ms-swift's `ORM`.
        options: As `RewardOptions`.

    Raises:
        ConfigError: An option is wrong.
    """
    if orms is None or base is None:
        from swift import rewards as swift  # noqa: PLC0415 # pyright: ignore - only ms-swift's own environment has it

        orms, base = swift.orms if orms is None else orms, swift.ORM if base is None else base
    found = reward_classes(base, **options)
    orms.update(found)
    return list(found)


def _call(rewards: RowRewards, name: RewardName) -> Callable[..., list[float | None]]:
    """Return the method that ms-swift calls; None is what it takes for "not applicable"."""

    def __call__(self: object, completions: list[str], **columns: Any) -> list[float | None]:  # noqa: N807 - a method
        del self
        return rewards.column(name, completions, rows_of(columns, len(completions)))

    return __call__
