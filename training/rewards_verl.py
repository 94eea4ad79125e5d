"""The reward for verl: `compute_score` of one completion.

    reward.custom_reward_function.path=$(python -c 'import training.rewards_verl as m; print(m.__file__)')
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.box_frame=norm_1000

`ground_truth` is the accepted answer, or columns as JSON text or as a mapping (`training/stages/row_rewards.py`);
`extra_info` may hold further columns, such as width and height.
"""

from __future__ import annotations

from typing import Any

from training.stages.row_rewards import rewards_for, row_of_gold


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Any = None, **options: Any
) -> dict[str, float]:
    """Return `score`, the weighted mean of the rewards that apply, and each reward; NaN where a row has no gold for it.

    Args:
        data_source: Not looked at: the gold says what is asked.
        solution_str: The completion.
        ground_truth: The row's gold.
        extra_info: Further columns; None for none.
        options: As `RewardOptions`; what else verl hands over is not looked at.

    Raises:
        ConfigError: An option is wrong, or the row lacks a column.
    """
    del data_source
    return rewards_for(options).scores(solution_str, row_of_gold(ground_truth, extra_info), "score")
