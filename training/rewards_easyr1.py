"""The reward for EasyR1: `compute_score` of a batch, or of one completion.

    worker.reward.reward_function=$(python -c 'import training.rewards_easyr1 as m; print(m.__file__)'):compute_score
    worker.reward.reward_function_kwargs={"box_frame":"norm_1000"}

`ground_truth` is the accepted answer, or columns as JSON text or as a mapping (`training/stages/row_rewards.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from training.stages.row_rewards import rewards_for, row_of_gold

REWARD_NAME = "satori"
"""EasyR1 reads it from the module."""
REWARD_TYPE = "batch"
"""EasyR1 reads it from the module; releases that take it from their configuration may set `sequential` too."""


@overload
def compute_score(reward_inputs: Mapping[str, Any], **options: Any) -> dict[str, float]: ...
@overload
def compute_score(reward_inputs: Sequence[Mapping[str, Any]], **options: Any) -> list[dict[str, float]]: ...
def compute_score(
    reward_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]], **options: Any
) -> dict[str, float] | list[dict[str, float]]:
    """Return `overall`, the weighted mean of the rewards that apply, and each reward; NaN where a row has no gold.

    Args:
        reward_inputs: One mapping of `response` and `ground_truth`, or a list of them.
        options: As `RewardOptions`.

    Raises:
        ConfigError: An option is wrong, or a row lacks a column.
    """
    rewards = rewards_for(options)
    if isinstance(reward_inputs, Mapping):
        return rewards.scores(reward_inputs["response"], row_of_gold(reward_inputs["ground_truth"]), "overall")
    return [rewards.scores(one["response"], row_of_gold(one["ground_truth"]), "overall") for one in reward_inputs]
