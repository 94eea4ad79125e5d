"""Ask a model that is in training, in place: no second copy of its weights, and nothing of the training changes.

    with as_it_was(module), alone():
        model = live_model(module, base)
        ...

Whatever asking writes to is put back: modes, hooks and memories of every module (a picture's features, a cache, the
generation configuration), every random state, and the environment of a process among several.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import distributed

from harness.errors import ConfigError
from harness.models.hf import SatoriHF

_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""What a launcher tells the processes that it starts."""


def live_model(module: torch.nn.Module, base: str, *, batch_size: str, seed: int) -> SatoriHF:
    """Return a model in training as one that lmms-eval asks.

    Args:
        module: A model of transformers, in evaluation mode.
        base: Folder or hub id of the checkpoint that it was loaded from: its processor is used, loaded anew.
        batch_size: Samples at once, or `auto`.
        seed: Of sampled decoding.

    Raises:
        UserError: It cannot be asked about pictures.
    """
    device = next(module.parameters()).device
    model = SatoriHF(base, device=str(device), batch_size=batch_size, seed=seed, module=module)
    # lmms-eval would make an Accelerator, and accelerate keeps the settings of the last one for all of them: training
    # would no longer accumulate its gradients.
    cast("Any", model).accelerator = None
    return model


def answering_module(module: torch.nn.Module) -> torch.nn.Module:
    """Return the transformers model inside of what a trainer holds: below DDP, and below an adapter laid into it.

    Raises:
        ConfigError: Its weights are spread over several processes, or its adapter is none that lies in its layers.
    """
    inner: Any = module
    while _is_replica(inner):
        inner = inner.module
    if hasattr(inner, "get_base_model"):
        if getattr(inner.active_peft_config, "is_prompt_learning", False):
            raise ConfigError("an adapter that learns a prompt cannot be asked in training: evaluate its checkpoints")
        inner = inner.get_base_model()
    named = inner.named_parameters()
    spread = next((name for name, one in named if hasattr(one, "ds_id") or hasattr(one, "placements")), None)
    if spread is not None:
        raise ConfigError(
            f"the weights are spread over several processes ({spread}), so none of them can answer: let `satori-bench "
            "watch` evaluate the checkpoints instead"
        )
    return inner


def _is_replica(module: object) -> bool:
    return isinstance(module, torch.nn.parallel.DistributedDataParallel)


@contextmanager
def as_it_was(module: torch.nn.Module) -> Generator[None]:
    """Put a model and every random state back as they were when the block ends; inside, it is in evaluation mode."""
    attributes = [(part, dict(vars(part)), dict(part._buffers)) for part in module.modules()]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - torch has no other list of them with the absent ones
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - what training draws from
    on_devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        module.eval()
        yield
    finally:
        for part, had, buffers in attributes:
            vars(part).clear()
            vars(part).update(had)
            part._buffers.clear()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as above
            part._buffers.update(buffers)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as above
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002 - as above
        torch.set_rng_state(states[2])
        gc.collect()
        if on_devices:
            torch.cuda.set_rng_state_all(on_devices)
            torch.cuda.empty_cache()


@contextmanager
def alone() -> Generator[None]:
    """Let code that asks believe that this process is the only one: each asks its own part.

    lmms-eval shares the samples of a task among all processes, and waits for all of them before each task.
    """
    known = distributed.is_initialized
    kept = {name: os.environ.pop(name) for name in _LAUNCHED if name in os.environ}
    try:
        distributed.is_initialized = lambda: False
        yield
    finally:
        distributed.is_initialized = known
        os.environ.update(kept)


@dataclass(slots=True)
class WeightsHash:
    """Hashes a model's weights in memory; those that are never trained once."""

    _frozen: dict[str, tuple[int, int, str]] = field(default_factory=dict[str, tuple[int, int, str]])

    def of(self, module: torch.nn.Module) -> str:
        """Return the hex sha256 over names, formats, shapes and bytes: equal weights have equal hashes.

        It is not that of the checkpoint that is saved of them, which is over files.
        """
        lines = [f"{digest}  {name}\n" for name, digest in sorted(self._digests(_tensors(module)))]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _digests(self, tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, str]]:
        for name, tensor in tensors.items():
            place = (tensor.data_ptr(), tensor._version)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - torch's only counter
            known = self._frozen.get(name)
            if known is not None and known[:2] == place:
                yield name, known[2]
                continue
            digest = _digest(tensor)
            if not tensor.requires_grad:
                self._frozen[name] = (*place, digest)
            yield name, digest


def _tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _digest(tensor: torch.Tensor) -> str:
    flat = tensor.detach().reshape(-1).contiguous()
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(flat.cpu().view(torch.uint8).numpy().data)
    return digest.hexdigest()
