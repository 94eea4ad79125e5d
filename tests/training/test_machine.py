"""A profile that a machine cannot run is refused with the mend, before anything is loaded or written."""

from __future__ import annotations

import socket

import pytest

from harness.errors import ConfigError
from training.stages.machine import Machine, check_machine, machine_faults, this_machine
from training.stages.settings import train_settings


def machine(gpus: int = 0, *packages: str, bfloat16: bool = True, server: bool = False) -> Machine:
    return Machine(
        gpus,
        79.0,
        "a GPU",
        has_bfloat16=bfloat16,
        torch="2.9.0+cpu",
        has_package=lambda name: name in packages,
        answers=lambda _host, _port: server,
    )


def settings(profile: str, stage: str = "grpo", **other):
    table = {"model": "m", "data": "shapes:tiny", "output": "o", "profile": profile, **other}
    return train_settings(stage, table, where="c.toml")


FAULTS = [
    ("single-gpu", {}, machine(), ["profile single-gpu needs a GPU", "2.9.0+cpu sees none", "nvidia-smi", "cpu-tiny"]),
    ("multi-gpu", {}, machine(), ["needs 8 GPUs"]),
    ("multi-gpu", {}, machine(2), ["trains in 8 processes", "2 are here", "processes = 2"]),
    ("multi-gpu", {"processes": 4}, machine(1), ["1 is here", "set profile single-gpu"]),
    ("single-gpu", {}, machine(1, bfloat16=False), ["computes in bfloat16", "Ampere"]),
    ("zero3", {"processes": 2}, machine(2), ["package deepspeed", "pip install deepspeed"]),
    ("zero3", {}, machine(), ["needs 8 GPUs", "pip install deepspeed"]),
    ("vllm-colocate", {}, machine(8), ["package vllm", "pip install 'satori-bench[vllm]'"]),
    ("vllm-server", {"processes": 1}, machine(2), ["package vllm"]),
    ("vllm-server", {"processes": 1}, machine(2, "vllm"), ["no server at 127.0.0.1:8000", "trl vllm-serve --model m"]),
    ("cpu-tiny", {"tracker": "wandb"}, machine(), ["tracker wandb", "pip install wandb"]),
]


@pytest.mark.parametrize(("profile", "other", "here", "said"), FAULTS)
def test_what_is_missing_is_named_with_its_mend(profile, other, here, said):
    with pytest.raises(ConfigError) as caught:
        check_machine(settings(profile, **other), here)

    assert [word for word in said if word not in str(caught.value)] == []


ENOUGH = [
    ("cpu-tiny", "grpo", {}, machine()),
    ("single-gpu", "grpo", {}, machine(1)),
    ("multi-gpu", "sft", {}, machine(8)),
    ("zero3", "sft", {"processes": 2}, machine(2, "deepspeed")),
    ("vllm-colocate", "grpo", {"processes": 1}, machine(1, "vllm")),
    ("vllm-colocate", "sft", {"processes": 1}, machine(1)),
    ("vllm-server", "grpo", {"processes": 1}, machine(2, "vllm", server=True)),
    ("vllm-server", "sft", {"processes": 1}, machine(1)),
]


@pytest.mark.parametrize(("profile", "stage", "other", "here"), ENOUGH)
def test_a_machine_that_has_everything_is_taken(profile, stage, other, here):
    assert machine_faults(settings(profile, stage, **other), here) == []


def test_a_port_is_really_tried():
    here = this_machine()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert here.answers("127.0.0.1", port)

    assert not here.answers("127.0.0.1", port)
    assert here.has_package("json")
    assert not here.has_package("no_such_package_at_all")


def test_a_given_gpu_is_planned_for():
    here = this_machine(24.0)

    assert (here.gpu_gib, here.gpu_words) == (24.0, "a GPU of 24 GiB")
