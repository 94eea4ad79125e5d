"""Names what keeps a whole checkpoint from being loaded here: formats, code of its own, adapters, vocabularies.

All of it is found in JSON files and safetensors headers, before any weight is read. A checkpoint that only a server
can load is none of this file's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from harness.models.checkpoint_files import (
    JsonObject,
    adapter_files,
    items,
    read_json_if_there,
    tensor_shapes,
    weight_files,
)
from harness.values import Json

_SERVE_IT = "serve it with vLLM or SGLang and ask it with --backend openai --base-url URL"
_PACKAGES_OF_FORMAT: Mapping[str, tuple[tuple[str, str], ...]] = {
    "bitsandbytes": (("bitsandbytes", "bitsandbytes"),),
    "awq": (("gptqmodel", "gptqmodel"),),
    "gptq": (("gptqmodel", "gptqmodel"), ("optimum", "optimum")),
    "compressed-tensors": (("compressed_tensors", "compressed-tensors"),),
    "auto-round": (("auto_round", "auto-round"),),
    "hqq": (("hqq", "hqq"),),
    "quanto": (("optimum.quanto", "optimum-quanto"),),
    "torchao": (("torchao", "torchao"),),
    "aqlm": (("aqlm", "aqlm[gpu,cpu]"),),
    "vptq": (("vptq", "vptq"),),
    "eetq": (("kernels", "kernels"),),
    "quark": (("quark", "amd-quark"),),
    "fbgemm_fp8": (("fbgemm_gpu", "fbgemm-gpu"),),
    "higgs": (("flute", "flute-kernel"),),
    "spqr": (("spqr_quant", "spqr_quant[gpu]"),),
    "fp_quant": (("fp_quant", "fp_quant"),),
    "fp8": (),
    "mxfp4": (),
    "nvfp4": (("kernels", "kernels"),),
    "bitnet": (),
    "metal": (("kernels", "kernels"),),
    "sinq": (("sinq", "sinq"),),
}
"""Quantised formats that transformers loads: modules that it imports for them, and what pip calls these."""
_PACKAGES_OF_FAMILY: Mapping[str, tuple[str, ...]] = {
    "smolvlm": ("num2words",),
    "gemma3n": ("timm",),
    "fast_vlm": ("timm",),
    "perception_lm": ("timm",),
    "udop": ("pytesseract",),
}
"""Packages that transformers imports for a family alone, called alike by pip."""
_FORMAT_SPELLINGS = {"compressed_tensors": "compressed-tensors", "auto_round": "auto-round", "bnb": "bitsandbytes"}
_QUANTISED_KEYS = ("quantization_config", "compression_config", "quantization")
"""Where configurations describe quantised weights: transformers, compressed-tensors of 2024, MLX."""
# float32, bfloat16, half... and the eight-bit formats, with or without torch's own name in front.
_TORCH_DTYPE = re.compile(r"(torch\.)?(b?float16|float(32|64)?|half|double|float8_\w+)")
_CODE_FILES = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
)
_UNMERGED_ADAPTERS = frozenset(
    {"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT", "CARTRIDGE",
     "XLORA", "POLY"}
)  # fmt: skip
"""Kinds of peft that have no weights to merge into a base: learned prompts, and mixtures that choose at every token."""
_EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embed_in")
"""What families call the table of a row a token."""
_ENDS = frozenset({"bos_token_id", "eos_token_id", "pad_token_id"})
"""Ids that a configuration names and that are tokens like any other."""
_HEADS = ("lm_head", "embed_out", "output_layer")
"""What families call the layer that writes a logit a token."""


@dataclass(frozen=True, slots=True)
class VocabularyFit:
    """Whether tokenizer, base and adapter speak of equally many tokens."""

    resize_to: int | None = None
    """Rows of embeddings that an adapter's base is brought to first; None where it fits as it is."""
    fault: str | None = None
    """What does not fit; None where all does."""


def format_faults(folder: Path, config: JsonObject) -> list[str]:
    """Name what the weights are that cannot be loaded here, with the mend: quantised, pickled, of no known type."""
    return [
        *_quantised(folder, config),
        *_pickled(folder, weight_files(folder), "AutoModelForImageTextToText"),
        *_unknown_dtype(folder, config),
        *_no_end_tokens(folder),
    ]


def package_faults(model_type: str) -> list[str]:
    """Name the packages that a family's classes import and that are not there."""
    missing = [package for package in _PACKAGES_OF_FAMILY.get(model_type, ()) if not _is_installed(package)]
    if not missing:
        return []
    packages = " and ".join(missing)
    return [f"transformers' {model_type} needs {packages}, which is not there: pip install {' '.join(missing)}"]


def adapter_kind_faults(folder: Path, adapter: JsonObject) -> list[str]:
    """Name what keeps an adapter from being merged into its base."""
    kind = adapter.get("peft_type")
    if not isinstance(kind, str):
        return [f"{folder / 'adapter_config.json'} names no peft_type: save the adapter again with peft"]
    faults = _pickled(folder, adapter_files(folder), "PeftModel")
    if kind.upper() in _UNMERGED_ADAPTERS:
        faults.append(
            f"a {kind} adapter has no weights that could be merged into a base, and only merged adapters are run here: "
            "train a LoRA (or another kind that merges), or save the whole model where it was trained"
        )
    return faults


def own_code_faults(folders: Iterable[Path]) -> list[str]:
    """Name the files that ask for Python code that comes with the checkpoint."""
    found: dict[str, None] = {}
    for folder in folders:
        for name in _CODE_FILES:
            config = read_json_if_there(folder / name)
            for part in (config, config.get("image_processor"), config.get("video_processor")):
                if isinstance(part, dict) and part.get("auto_map"):
                    found[str(folder / name)] = None
    if not found:
        return []
    return [
        (
            f"code of its own (auto_map in {', '.join(found)}), which is not run unasked: give the transformers "
            f"conversion of the model (often named *-hf), or {_SERVE_IT}. Where transformers has the model and its own "
            "classes are meant, take auto_map out of these files; where you have read that code and trust it, give "
            "--trust-remote-code"
        )
    ]


def vocabulary_fit(
    tokenizer_folder: Path, model_folder: Path, config: JsonObject, adapter_folder: Path | None
) -> VocabularyFit:
    """Compare the tokenizer's ids with the rows of embeddings of the model, and of the adapter that is laid on it.

    Rows above the tokenizer are padding and fit; ids that the configuration names as placeholders need no row, since
    some families replace them before they look a row up.
    """
    base = tensor_shapes(weight_files(model_folder))
    rows = _embedding_rows(base) or _declared_rows(config)
    ids = _token_ids(tokenizer_folder)
    if rows is None or not ids:
        return VocabularyFit()
    placeholders = _placeholder_ids(config)
    needed = max((token for token in ids.values() if token not in placeholders), default=-1) + 1
    if adapter_folder is not None:
        adapter = read_json_if_there(adapter_folder / "adapter_config.json")
        shapes = tensor_shapes(adapter_files(adapter_folder))
        return _adapter_fit(_AdapterRows.of(shapes, adapter), rows, needed, tied=_is_tied(config, base))
    if needed <= rows:
        return VocabularyFit()
    without = sorted(token for token, number in ids.items() if number >= rows and number not in placeholders)
    return VocabularyFit(
        fault=(
            f"its tokenizer has {needed} tokens and its model {rows} rows of embeddings ({model_folder}): "
            f"{len(without)} tokens, such as {without[0]!r}, were added and the model was never resized. Give the "
            "tokenizer that the model was trained with, or call model.resize_token_embeddings(len(tokenizer)), "
            "train and save it again"
        )
    )


@dataclass(frozen=True, slots=True)
class _AdapterRows:
    """How many rows of embeddings and of the head an adapter speaks of."""

    whole_embeddings: int | None
    """Rows, where the adapter holds all of them."""
    whole_head: int | None
    """Logits, where the adapter holds the whole head."""
    partial: frozenset[int]
    """Rows of low-rank changes, which need a base of that size."""
    trained: frozenset[int]
    """Ids whose rows alone are held (`trainable_token_indices`)."""

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], adapter: JsonObject) -> _AdapterRows:
        """Read an adapter's tensors and configuration."""
        whole: dict[str, int] = {}
        partial: set[int] = set()
        for name, shape in shapes.items():
            layer = next((layer for layer in (*_EMBEDDINGS, *_HEADS) if f".{layer}." in f".{name}"), None)
            if layer is None or len(shape) != 2 or "trainable_tokens" in name:
                continue
            kind = "head" if layer in _HEADS else "embeddings"
            if "lora_embedding_A" in name:
                partial.add(shape[1])
            elif "lora_B" in name and kind == "head":
                partial.add(shape[0])
            elif name.endswith("weight") and "lora_" not in name:
                whole[kind] = shape[0]
        return cls(whole.get("embeddings"), whole.get("head"), frozenset(partial), _trained_ids(adapter))


def _adapter_fit(adapter: _AdapterRows, rows: int, needed: int, *, tied: bool) -> VocabularyFit:
    """Tell whether an adapter fits its base, and what the base must be resized to for it."""
    spoken_of = {adapter.whole_embeddings, adapter.whole_head, *adapter.partial} - {None}
    wanted = max((size for size in spoken_of if size is not None), default=rows)
    mend = "Save the adapter with save_embedding_layers=True, or merge it where it was trained"
    if len(spoken_of) > 1:
        sizes = ", ".join(map(str, sorted(size for size in spoken_of if size is not None)))
        return VocabularyFit(fault=f"the adapter's embeddings and head have different sizes ({sizes}). {mend}")
    if needed > wanted and adapter.trained >= set(range(wanted, needed)):
        return VocabularyFit(resize_to=needed)
    if needed > wanted:
        return VocabularyFit(
            fault=(
                f"its tokenizer has {needed} tokens, its base {rows} rows of embeddings and the adapter brings "
                f"{'none' if wanted == rows else wanted}: the rows of added tokens were not saved. {mend}"
            )
        )
    if wanted == rows:
        return VocabularyFit()
    held = adapter.whole_embeddings == wanted and (tied or adapter.whole_head == wanted)
    if wanted > rows and not held and not adapter.trained >= set(range(rows, wanted)):
        return VocabularyFit(
            fault=(
                f"the adapter was trained on {wanted} rows of embeddings and its base has {rows}: the rows between "
                f"are not in the adapter. {mend}"
            )
        )
    return VocabularyFit(resize_to=wanted)


def _trained_ids(adapter: JsonObject) -> frozenset[int]:
    """Return the ids of an adapter's trainable tokens, given for all layers or by layer."""
    given = adapter.get("trainable_token_indices") or adapter.get("token_indices")
    lists = list(given.values()) if isinstance(given, dict) else [given]
    return frozenset(token for listed in lists for token in items(listed) if isinstance(token, int))


def _embedding_rows(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Return the rows of a model's embeddings; the most, where several layers are called so."""
    endings = tuple(f"{name}.weight" for name in _EMBEDDINGS)
    return max((shape[0] for name, shape in shapes.items() if name.endswith(endings)), default=None)


def _declared_rows(config: JsonObject) -> int | None:
    """Return the size of the vocabulary as config.json has it."""
    text = config.get("text_config")
    for part in (text if isinstance(text, dict) else {}, config):
        if isinstance(size := part.get("vocab_size"), int):
            return size
    return None


def _is_tied(config: JsonObject, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether embeddings and head are one table; before transformers 5 the text half alone said so."""
    text = config.get("text_config")
    parts = (config, text if isinstance(text, dict) else {})
    said = [part["tie_word_embeddings"] for part in parts if isinstance(part.get("tie_word_embeddings"), bool)]
    if said:
        return any(said)
    return not any(name.endswith(tuple(f"{head}.weight" for head in _HEADS)) for name in shapes)


def _token_ids(folder: Path) -> dict[str, int]:
    """Return the tokens of a tokenizer and their ids, as far as its files spell them out."""
    ids: dict[str, Json] = {}
    tokenizer = read_json_if_there(folder / "tokenizer.json")
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        ids |= vocabulary
    elif isinstance(vocabulary, list):  # Unigram: pairs of token and score, in the order of their ids
        ids |= {str(entry[0]): number for number, entry in enumerate(vocabulary) if isinstance(entry, list) and entry}
    for entry in items(tokenizer.get("added_tokens")):
        if isinstance(entry, dict):
            ids[str(entry.get("content"))] = entry.get("id")
    if not tokenizer:
        ids |= read_json_if_there(folder / "vocab.json")
        ids |= read_json_if_there(folder / "added_tokens.json")
    return {token: number for token, number in ids.items() if isinstance(number, int)}


def _placeholder_ids(config: JsonObject) -> frozenset[int]:
    """Return the ids that a configuration names as tokens of its own, such as `image_token_id`."""
    found: set[int] = set()
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _placeholder_ids(value)
        elif isinstance(value, int) and key.endswith(("_token_id", "_token_index")) and key not in _ENDS:
            found.add(value)
    return frozenset(found)


def _quantised(folder: Path, config: JsonObject) -> list[str]:
    """Name a quantised format that lacks its packages, or that transformers does not load at all."""
    text = config.get("text_config")
    parts = (config, text if isinstance(text, dict) else {})
    described = [(key, part.get(key)) for part in parts for key in _QUANTISED_KEYS]
    found = [(key, settings) for key, settings in described if isinstance(settings, dict) and settings]
    if not found:
        return []
    key, settings = found[0]
    name = _format_name(settings, key)
    what = f"quantised weights ({name}, says {key} in {folder / 'config.json'})"
    unquantised = "or give the checkpoint that they were made from"
    if name not in _PACKAGES_OF_FORMAT:
        return [f"{what}, a format that transformers does not load: {_SERVE_IT} or another engine, {unquantised}"]
    missing = [package for module, package in _PACKAGES_OF_FORMAT[name] if not _is_installed(module)]
    if not missing:
        return []
    packages = " and ".join(missing)
    install = f"pip install {' '.join(missing)}"
    return [f"{what}, for which {packages} must be there: {install}; or {_SERVE_IT}; {unquantised}"]


def _unknown_dtype(folder: Path, config: JsonObject) -> list[str]:
    """Name a number format that torch does not have; transformers would end on it in any place."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for key in ("dtype", "torch_dtype"):
            named = part.get(key)
            if isinstance(named, str) and not _TORCH_DTYPE.fullmatch(named):
                return [f"{key} {named!r} in {folder / 'config.json'}, which torch does not know: write bfloat16"]
    return []


def _no_end_tokens(folder: Path) -> list[str]:
    """Name an end that generation_config.json gives and that is no token's id, nor a list of them.

    transformers takes a file that it cannot read for one that is not there, and a text would then run past its end.
    """
    file = folder / "generation_config.json"
    named = read_json_if_there(file).get("eos_token_id")
    ids = named if isinstance(named, list) else [] if named is None else [named]
    if all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        return []
    return [f"eos_token_id {named!r} in {file}, which is no token's id: take the file of the base model"]


def _format_name(settings: JsonObject, key: str) -> str:
    """Return what transformers calls a quantised format."""
    name = settings.get("quant_method")
    if isinstance(name, str):
        return _FORMAT_SPELLINGS.get(name.lower(), name.lower())
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        return "bitsandbytes"
    return {"quantization": "MLX", "compression_config": "compressed-tensors"}.get(key, "of no name")


def _is_installed(module: str) -> bool:
    """Whether a module could be imported; nothing of it is."""
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # a part of a package that is not there
        return False


def _pickled(folder: Path, files: Sequence[Path], loader: str) -> list[str]:
    """Name weights that are pickled: reading such a file may run whatever its author put into it."""
    if not any(file.suffix == ".bin" for file in files):
        return []
    return [
        (
            f"only pickled weights ({files[0].name} in {folder}), which can run code when they are read: where you "
            f"trust them, load them with {loader}.from_pretrained and save the result, which writes safetensors"
        )
    ]
