"""What a profile needs of the machine it runs on, looked at before anything is loaded, downloaded or written."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from harness.errors import ConfigError
from training.stages.profiles import PROFILES, Profile
from training.stages.settings import TrainSettings

ASSUMED_GPU_GIB = 79.0
"""What PyTorch sees of an 80 GB GPU, assumed where there is none to ask."""
_CONNECT_S = 2.0
"""A server on the same machine answers at once."""
_INSTALL = {"vllm": "pip install 'satori-bench[vllm]'", "deepspeed": "pip install deepspeed"}
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as far as training asks."""

    gpus: int
    """GPUs that PyTorch sees."""
    gpu_gib: float
    """Memory of the GPU that plans are held against: the smallest one here, a given or the assumed one."""
    gpu_words: str
    """That GPU in words."""
    has_bfloat16: bool
    """Whether the GPUs compute in bfloat16."""
    torch: str
    """PyTorch's version, with the build it is."""
    has_package: Callable[[str], bool]
    """Whether a package can be imported."""
    answers: Callable[[str, int], bool]
    """Whether something listens at a host and port."""


def this_machine(gpu_gib: float | None = None) -> Machine:
    """Look at the machine that this process runs on.

    Args:
        gpu_gib: Memory of the GPU to plan for; None takes the smallest one here, or an 80 GB one where there is none.
    """
    import torch  # noqa: PLC0415 - takes seconds, and only a profile with a GPU needs it

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    sizes = [torch.cuda.get_device_properties(number).total_memory / _GIB for number in range(count)]
    words = "the GPU here" if count == 1 else "the smallest GPU here"
    if gpu_gib is not None:
        words = f"a GPU of {gpu_gib:g} GiB"
    elif not sizes:
        words = "an 80 GB GPU (assumed, none is here)"
    return Machine(
        gpus=count,
        gpu_gib=gpu_gib or min(sizes, default=ASSUMED_GPU_GIB),
        gpu_words=words,
        has_bfloat16=bool(count) and torch.cuda.is_bf16_supported(),
        torch=str(torch.__version__),
        has_package=lambda name: find_spec(name) is not None,
        answers=_answers,
    )


def check_machine(settings: TrainSettings, machine: Machine) -> None:
    """Refuse a profile that this machine cannot run.

    Raises:
        ConfigError: Everything that is missing, each with its mend.
    """
    faults = machine_faults(settings, machine)
    if faults:
        raise ConfigError("; ".join(faults))


def machine_faults(settings: TrainSettings, machine: Machine) -> list[str]:
    """Return what the machine lacks for the settings; empty when it has everything."""
    profile = PROFILES[settings.profile]
    faults = _gpu_faults(profile, settings.process_count, machine)
    # a cold start generates nothing, so it needs no vLLM
    needed = [name for name in profile.needs if name != "vllm" or settings.stage == "grpo"]
    faults += [
        f"profile {profile.name} needs the package {name}, which is not installed: {_INSTALL[name]}"
        for name in needed
        if not machine.has_package(name)
    ]
    if settings.tracker != "none" and not machine.has_package(settings.tracker):
        faults.append(
            f"tracker {settings.tracker} is not installed: pip install {settings.tracker}, or leave `tracker` out"
        )
    if not faults and settings.stage == "grpo" and profile.grpo.get("vllm_mode") == "server":
        host, port = str(profile.grpo["vllm_server_host"]), int(profile.grpo["vllm_server_port"])
        if not machine.answers(host, port):
            faults.append(
                f"profile {profile.name} finds no server at {host}:{port}: start `trl vllm-serve --model "
                f"{settings.model}` on a GPU of its own first, and wait until it listens"
            )
    return faults


def _gpu_faults(profile: Profile, processes: int, machine: Machine) -> list[str]:
    """Return what is missing of the GPUs."""
    if profile.common.get("use_cpu"):
        return []
    if machine.gpus == 0:
        wanted = "a GPU" if processes == 1 else f"{processes} GPUs"
        none_here = (
            f"profile {profile.name} needs {wanted}, and PyTorch {machine.torch} sees none here: look at `nvidia-smi` "
            "and at CUDA_VISIBLE_DEVICES, install a build of PyTorch for your driver, or take profile cpu-tiny for a "
            "trial on the CPU; --dry-run plans without a GPU"
        )
        return [none_here]
    faults: list[str] = []
    if machine.gpus < processes:
        fewer = "single-gpu" if machine.gpus == 1 else f"processes = {machine.gpus}"
        faults.append(
            f"profile {profile.name} trains in {processes} processes, one a GPU, and {machine.gpus} "
            f"{'is' if machine.gpus == 1 else 'are'} here: set {'profile ' if machine.gpus == 1 else ''}{fewer}, and "
            "optimisation.accumulation so that a step stays as large"
        )
    if not machine.has_bfloat16:
        faults.append(
            f"profile {profile.name} computes in bfloat16, which this GPU cannot: use a GPU of NVIDIA's Ampere "
            "generation or newer"
        )
    return faults


def _answers(host: str, port: int) -> bool:
    """Whether something listens at a host and port."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_S):
            return True
    except OSError:
        return False
