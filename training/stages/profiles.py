"""The machines that training runs on: what each changes in TRL's arguments and in accelerate's launch configuration.

Only the profile changes between a laptop and a cluster; settings, data, rewards and code stay. `cpu-tiny` and
`single-gpu` run in this process, the others are started by `accelerate launch` with the configuration written here.
The GPU profiles are checked by building and validating the full configuration on a CPU; they were not run on GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

ProfileName: TypeAlias = Literal[
    "cpu-tiny", "single-gpu", "multi-gpu", "zero3", "fsdp2", "vllm-colocate", "vllm-server"
]
"""Which machine."""

PROFILE_NAMES: tuple[ProfileName, ...] = get_args(ProfileName)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of machine."""

    name: ProfileName
    """Its name."""
    processes: int
    """Processes that train, unless the settings say otherwise."""
    common: Mapping[str, Any]
    """Arguments of both trainers."""
    grpo: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further arguments of GRPO."""
    launch: Mapping[str, Any] | None = None
    """accelerate's launch configuration; None runs in this process."""
    dtype: str = "float32"
    """Number format of the weights that are trained; mixed precision computes in bfloat16 on top of it."""
    frozen_dtype: str = "float32"
    """Number format of a base that LoRA leaves alone."""
    shards: bool = False
    """Whether weights, gradients and optimiser states are spread over the processes."""
    needs: tuple[str, ...] = ()
    """Packages beside our own that the machine must have."""
    note: str = ""
    """What to know before using it."""


_GPU = {"bf16": True, "gradient_checkpointing": True, "dataloader_num_workers": 4}
# what mixed precision computes with anyway: a frozen float32 base would only be cast at every step
_FROZEN = "bfloat16"

_LAUNCH = {
    "compute_environment": "LOCAL_MACHINE",
    "debug": False,
    "machine_rank": 0,
    "main_training_function": "main",
    "mixed_precision": "bf16",
    "num_machines": 1,
    "rdzv_backend": "static",
    "same_network": True,
    "use_cpu": False,
}
"""What all launch configurations share; keys as accelerate names them."""

_PROFILES = (
    Profile(
        "cpu-tiny",
        processes=1,
        common={
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "dataloader_num_workers": 0,
            "dataloader_pin_memory": False,
        },
        note="float32 on the CPU; set OMP_NUM_THREADS=1 where other work shares the cores",
    ),
    Profile(
        "single-gpu",
        processes=1,
        common=_GPU,
        frozen_dtype=_FROZEN,
        note="computes in bfloat16; trained weights stay in float32, where small updates are not rounded away",
    ),
    Profile(
        "multi-gpu",
        processes=8,
        common=_GPU,
        launch=_LAUNCH | {"distributed_type": "MULTI_GPU"},
        frozen_dtype=_FROZEN,
        note="one replica a GPU (DDP)",
    ),
    Profile(
        "zero3",
        processes=8,
        common=_GPU,
        launch=_LAUNCH
        | {
            "distributed_type": "DEEPSPEED",
            "deepspeed_config": {
                "deepspeed_multinode_launcher": "standard",
                "offload_optimizer_device": "none",
                "offload_param_device": "none",
                "zero3_init_flag": True,
                "zero3_save_16bit_model": True,
                "zero_stage": 3,
            },
        },
        dtype="bfloat16",
        frozen_dtype=_FROZEN,
        shards=True,
        needs=("deepspeed",),
        note="DeepSpeed ZeRO-3, which keeps float32 masters of its own; needs the package deepspeed",
    ),
    Profile(
        "fsdp2",
        processes=8,
        common=_GPU | {"gradient_checkpointing": False},
        launch=_LAUNCH
        | {
            "distributed_type": "FSDP",
            "fsdp_config": {
                "fsdp_activation_checkpointing": True,
                "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
                "fsdp_cpu_ram_efficient_loading": True,
                "fsdp_offload_params": False,
                "fsdp_reshard_after_forward": True,
                "fsdp_state_dict_type": "FULL_STATE_DICT",
                "fsdp_version": 2,
            },
        },
        shards=True,
        note="PyTorch FSDP2; activations are checkpointed by FSDP, not by the trainer",
    ),
    Profile(
        "vllm-colocate",
        processes=8,
        common=_GPU,
        grpo={
            "use_vllm": True,
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": 0.3,
            "vllm_enable_sleep_mode": True,
        },
        launch=_LAUNCH | {"distributed_type": "MULTI_GPU"},
        frozen_dtype=_FROZEN,
        needs=("vllm",),
        note="rollouts by vLLM on the training GPUs; compare its greedy texts with `run` on a few samples first",
    ),
    Profile(
        "vllm-server",
        processes=7,
        common=_GPU,
        grpo={"use_vllm": True, "vllm_mode": "server", "vllm_server_host": "127.0.0.1", "vllm_server_port": 8000},
        launch=_LAUNCH | {"distributed_type": "MULTI_GPU"},
        frozen_dtype=_FROZEN,
        needs=("vllm",),
        note="rollouts by a vLLM server on a GPU of its own: `trl vllm-serve --model MODEL` first",
    ),
)

PROFILES: Mapping[ProfileName, Profile] = {profile.name: profile for profile in _PROFILES}
"""Every profile by name."""


def launch_configuration(profile: Profile, processes: int) -> dict[str, Any]:
    """Return accelerate's configuration file of a launched profile, as a table.

    Raises:
        ValueError: The profile runs in this process.
    """
    if profile.launch is None:
        raise ValueError(f"profile {profile.name} runs in one process and is not launched")
    return {**profile.launch, "num_processes": processes}
