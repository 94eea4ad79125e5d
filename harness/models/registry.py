"""Names our models for lmms-eval: the payload of the entry point group `lmms_eval.models`.

Plain `lmms-eval --model satori_hf --model_args pretrained=...` then works wherever satori-bench is installed.
"""

# lmms-eval has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

CHAT_MODELS = {
    "satori_hf": "harness.models.hf.SatoriHF",
    "satori_vllm": "harness.models.vllm_model.SatoriVLLM",
    "satori_openai": "harness.models.served.SatoriServed",
}
"""Registry name to class path; the class is imported only when it is used."""


def manifests() -> list[ModelManifest]:
    """Return one manifest per model. lmms-eval calls this while it builds its registry."""
    from lmms_eval.models.registry_v2 import ModelManifest  # noqa: PLC0415 - lmms-eval is heavy and calls us itself

    return [ModelManifest(model_id=name, chat_class_path=path) for name, path in CHAT_MODELS.items()]
