"""Turn settings into TRL's arguments: the one place where the two vocabularies meet.

Whatever a setting does not name is fixed here on purpose: offline and tracker-free by default, no upload, checkpoints
through our own atomic writer, a NaN loss is seen and not filtered.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.sft_config import SFTConfig

from training.stages.profiles import PROFILES
from training.stages.settings import GrpoSettings, SftSettings, TrainSettings

NONE: Mapping[str, Any] = MappingProxyType({})
"""No overrides."""


def common_arguments(settings: TrainSettings, work: Path) -> dict[str, Any]:
    """Return the arguments that both trainers share; `work` is the folder that the trainer writes into."""
    chosen = settings.optimisation
    return {
        "output_dir": str(work),
        "max_steps": chosen.steps or -1,
        "num_train_epochs": chosen.epochs,
        "learning_rate": chosen.learning_rate,
        "lr_scheduler_type": chosen.schedule,
        "warmup_steps": chosen.warmup,
        "adam_beta2": chosen.adam_beta2,
        "weight_decay": chosen.weight_decay,
        "max_grad_norm": chosen.max_grad_norm,
        "per_device_train_batch_size": chosen.batch_size,
        "gradient_accumulation_steps": chosen.accumulation,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.checkpoints.every_steps,
        "save_total_limit": settings.checkpoints.keep,
        "report_to": settings.tracker,
        "push_to_hub": False,
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "eval_strategy": "no",
        **PROFILES[settings.profile].common,
    }


def sft_arguments(settings: SftSettings, work: Path, overrides: Mapping[str, Any] = NONE) -> SFTConfig:
    """Return TRL's configuration of a cold start; `overrides` win over everything.

    `max_length` is None: TRL's default of 1,024 would cut image tokens off (trl issue 4289).
    """
    return SFTConfig(
        **{**common_arguments(settings, work), **overrides},
        logging_steps=10,
        max_length=None,
        completion_only_loss=True,
        packing=False,
    )


def grpo_arguments(
    settings: GrpoSettings, work: Path, suppressed_ids: list[int], overrides: Mapping[str, Any] = NONE
) -> GRPOConfig:
    """Return TRL's configuration of a GRPO run.

    Args:
        settings: What is trained.
        work: Folder that the trainer writes into.
        suppressed_ids: Tokens that must never be sampled.
        overrides: TRL arguments that win over everything.
    """
    rollouts, objective, rewards = settings.rollouts, settings.objective, settings.rewards
    profile = PROFILES[settings.profile]
    # vLLM's sampling parameters know no suppress_tokens; there the processor's own guard has to do
    suppressed = None if profile.grpo.get("use_vllm") or not suppressed_ids else {"suppress_tokens": suppressed_ids}
    return GRPOConfig(
        **{**common_arguments(settings, work), **profile.grpo, **overrides},
        logging_steps=1,
        num_generations=rollouts.generations,
        temperature=rollouts.temperature,
        top_p=rollouts.top_p,
        top_k=rollouts.top_k,
        max_completion_length=rollouts.max_completion_tokens,
        num_iterations=rollouts.iterations,
        loss_type=objective.loss,
        beta=objective.beta,
        scale_rewards=objective.scale_rewards,
        multi_objective_aggregation=objective.aggregation,
        epsilon=objective.epsilon,
        reward_weights=[rewards.weights[name] for name in rewards.names],
        generation_kwargs=suppressed,
        max_tool_calling_iterations=settings.tool_turns if settings.tools else None,
        # TRL 1.16 cannot write its table where a turn is a text and a tool's reply a list of blocks
        log_completions=settings.tools is None,
        num_completions_to_print=0,
    )
