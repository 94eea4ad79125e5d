"""What a device, a number format, a batch size and an attention may be called: checked before torch is loaded."""

from __future__ import annotations

import re

from harness.errors import ConfigError, did_you_mean

DTYPES = ("float32", "bfloat16", "float16")
"""Number formats to compute in, as torch calls them."""
_DTYPE_ALIASES = {
    "fp32": "float32", "f32": "float32", "float": "float32", "single": "float32", "32": "float32",
    "bf16": "bfloat16", "b16": "bfloat16",
    "fp16": "float16", "f16": "float16", "half": "float16", "16": "float16",
}  # fmt: skip
"""What people write for them; named as a hint, never taken silently."""
_DEVICE_KINDS = ("cpu", "cuda", "mps", "xpu", "npu", "hpu", "mlu", "musa")
"""What torch calls the devices that transformers runs on."""
# A kind of device and, for those of which a machine may have several, a number: `cuda:1`.
_DEVICE = re.compile(rf"(?:{'|'.join(_DEVICE_KINDS)})(?::\d{{1,3}})?")
_DEVICE_ALIASES = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps"}
_ATTENTIONS = (
    "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention",
    "paged|eager", "paged|sdpa", "paged|flash_attention_2",
)  # fmt: skip
"""Attentions that transformers knows by name."""
_ATTENTION_ALIASES = {"flash": "flash_attention_2", "fa2": "flash_attention_2", "fa3": "flash_attention_3"}
# A kernel of the hub, such as `kernels-community/flash-attn` or `owner/name@revision:function`.
_HUB_KERNEL = re.compile(r"[\w.-]+/[\w.@:-]+")


def device_option_faults(device: str, dtype: str, batch_size: int | str, attention: str | None = None) -> list[str]:
    """Name what is wrong with the options that say how a model is run; each with what may have been meant."""
    faults: list[str] = []
    if device != "auto" and not _DEVICE.fullmatch(device):
        hint = _meant(device.split(":", maxsplit=1)[0], _DEVICE_ALIASES, ["auto", *_DEVICE_KINDS])
        faults.append(f"device {device!r} is not known: give auto, cpu, cuda or cuda:1.{hint}")
    if dtype not in ("auto", *DTYPES):
        hint = _meant(dtype.removeprefix("torch."), _DTYPE_ALIASES, ["auto", *DTYPES])
        faults.append(f"dtype {dtype!r} is not known: give auto, {', '.join(DTYPES)}.{hint}")
    if read_batch_size(batch_size) is None and batch_size != "auto":
        hint = did_you_mean(str(batch_size), ["auto"])
        faults.append(f"batch_size is {batch_size!r}; give a whole number of at least 1, or auto.{hint}")
    if attention is not None and attention not in _ATTENTIONS and not _HUB_KERNEL.fullmatch(attention):
        hint = _meant(attention, _ATTENTION_ALIASES, list(_ATTENTIONS))
        faults.append(f"attention {attention!r} is not known: give {', '.join(_ATTENTIONS[:6])}.{hint}")
    return faults


def check_device_options(device: str, dtype: str, batch_size: int | str, attention: str | None = None) -> None:
    """Refuse options that say how a model is run.

    Raises:
        ConfigError: any of them is wrong; all faults together.
    """
    if faults := device_option_faults(device, dtype, batch_size, attention):
        raise ConfigError("; ".join(faults))


def read_batch_size(value: int | str) -> int | None:
    """Return a batch size of at least 1; None for anything else."""
    if isinstance(value, str):
        # isdecimal alone would take digits of other scripts, which a person hardly means here
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < 7 else 0
    return None if isinstance(value, bool) or value < 1 else value


def _meant(word: str, aliases: dict[str, str], known: list[str]) -> str:
    """Return ` Did you mean 'x'?` for a usual other name, or for the nearest known word."""
    alias = aliases.get(word.lower())
    return f" Did you mean {alias!r}?" if alias else did_you_mean(word.lower(), known)
