# ruff: noqa: E501, C901, PLR0912 - rows of settings, and a rule a field of a configuration
"""Tiny checkpoints of many model families, made from transformers' own configurations with random weights.

A family's default configuration is shrunk by the names of its fields, its processor is made of its default image
processor and one tokenizer that holds the tokens of all of them. What a family needs beyond that is a row of `FAMILIES`.
"""

from __future__ import annotations

import copy
import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from transformers.models.auto import (
    configuration_auto,
    image_processing_auto,
    modeling_auto,
    processing_auto,
    video_processing_auto,
)

_SIZES = {
    "hidden_size": 64, "d_model": 64, "n_embd": 64, "embed_dim": 64, "word_embed_proj_dim": 64, "out_hidden_size": 64,
    "text_hidden_size": 64, "projection_dim": 64, "proj_hidden_size": 64, "output_size": 64, "text_intermediate_size": 96,
    "intermediate_size": 96, "ffn_dim": 96, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "mlp_dim": 96, "ffn_hidden_size": 96,
    "num_hidden_layers": 2, "num_layers": 2, "depth": 2, "encoder_layers": 2, "decoder_layers": 2, "n_layer": 2,
    "num_global_layers": 1, "text_layers": 2,
    "num_attention_heads": 2, "num_heads": 2, "num_key_value_heads": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "attention_heads": 2, "num_global_key_value_heads": 2, "head_dim": 32,
    "global_head_dim": 32, "num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4,
    "num_experts_per_tok": 2, "moe_topk": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
    "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "vision_intermediate_size": 96,
}  # fmt: skip
"""Sizes that most configurations call alike."""
_NAMED = {
    "image_token": "<image>", "video_token": "<video>", "audio_token": "<audio>", "boi_token": "<boi>",
    "eoi_token": "<eoi>", "boa_token": "<boa>", "eoa_token": "<eoa>", "image_start_token": "<boi>",
    "image_end_token": "<eoi>", "image_wrapper_token": "<wrap>", "eof_token": "<eof>", "vision_bos_token": "<boi>",
    "vision_eos_token": "<eoi>", "audio_bos_token": "<boa>", "audio_eos_token": "<eoa>", "img_start_token": "<boi>",
    "start_image_token": "<boi>", "end_image_token": "<eoi>", "context_image_token": "<image>", "image_id_start_token": "<i>",
    "image_id_end_token": "</i>", "slice_start_token": "<slice>", "slice_end_token": "</slice>", "im_start_token": "<boi>",
    "im_end_token": "<eoi>", "vision_start_token": "<boi>", "vision_end_token": "<eoi>", "slice_image_token": "<im>",
    "image_thumbnail_token": "<thumb>", "image_boundary_token": "<wrap>",
}  # fmt: skip
"""What processors ask a tokenizer for."""


@dataclass(frozen=True)
class Family:
    """What one family needs beyond its defaults."""

    picture: str | None = None
    """What the chat template writes for a picture; None: the processor's token of one."""
    image_token: str | None = None
    """The token that stands for a patch group; None: what the template writes."""
    config: dict = field(default_factory=dict)
    """Fields of the configuration, laid over the shrunk defaults."""
    first: dict = field(default_factory=dict)
    """Fields of the configuration that are laid under what is shrunk: parts that have no default."""
    image: dict = field(default_factory=dict)
    """Settings of the image processor."""
    processor: dict = field(default_factory=dict)
    """Further arguments of the processor."""
    tokens: dict = field(default_factory=dict)
    """What the tokenizer calls its own tokens, such as `image_token`."""
    more_tokens: tuple = ()
    """Further tokens that the tokenizer must have."""
    video: dict = field(default_factory=dict)
    """Settings of the video processor."""
    bos: bool = False
    """Whether the tokenizer needs a token for the beginning, and one for what it does not know."""
    layers: int = 2
    """Layers of every part."""


def _vision_of(**settings) -> dict:
    return {"vision_config": settings}


_MROPE = {"text_config": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]}}}
_SQUARE = {"size": {"height": 56, "width": 56}}
_CROP = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
_SEEN_56 = {"vision_config": {"image_size": 56, "patch_size": 14}}
_LLAVA = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
_PATCH_16 = {"patch_size": 16}
_POSITIONS = {"vision_config": {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}}


def _family(config=None, image=None, processor=None, **others) -> Family:
    return Family(config=config or {}, image=image or {}, processor=processor or {}, **others)


FAMILIES: dict[str, Family] = {
    "aya_vision": _family(
        _SEEN_56 | {"downsample_factor": 2},
        _SQUARE,
        {"patch_size": 14, "img_size": 56, "downsample_factor": 2},
        image_token="<|IMG_PATCH|>",
    ),
    "blip": _family(),
    "blip-2": _family(_SEEN_56, _SQUARE),
    "cosmos3_edge": _family(),
    "cosmos3_omni": _family(_POSITIONS, _PATCH_16),
    "deepseek_vl": _family(
        {"vision_config": {"image_size": 64, "patch_size": 16}},
        {"size": {"height": 64, "width": 64}},
        {"num_image_tokens": 16},
    ),
    "ernie4_5_vl_moe": _family(
        {
            "text_config": {
                "moe_k": 2,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [6, 6, 4]},
            }
        },
        video={"draw_on_frames": False},
    ),
    "exaone4_5": _family(),
    "florence2": _family(
        {"text_config": {"decoder_start_token_id": 0, "bos_token_id": 0}},
        {"image_seq_length": 50},
        bos=True,
        picture="",
        image_token="<image>",
    ),
    "gemma3": _family(
        _SEEN_56 | {"mm_tokens_per_image": 4, "text_config": {"sliding_window": 8}},
        _SQUARE,
        {"image_seq_length": 4},
        picture="<boi>",
        image_token="<image>",
    ),
    "git": _family(),
    "glm46v": _family(_MROPE),
    "glm4v": _family(_MROPE),
    "glm4v_moe": _family(
        {
            "text_config": {
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 1e4,
                    "mrope_section": [2, 3, 3],
                    "partial_rotary_factor": 0.5,
                }
            }
        }
    ),
    "glm5_next": _family(),
    "glm_ocr": _family(_MROPE),
    "glmga": _family(_MROPE),
    "granite_docling": _family(),
    "hunyuan_vl": _family(
        {"text_config": _MROPE["text_config"] | {"head_dim": 32}}, picture="<boi><image><eoi>", image_token="<image>"
    ),
    "hyperclovax_vision_v2": _family(),
    "idefics2": _family(),
    "idefics3": _family(
        {"vision_config": {"image_size": 56, "patch_size": 14}, "scale_factor": 2},
        {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}},
        {"image_seq_len": 4},
    ),
    "internvl": _family(
        {"vision_config": {"image_size": [56, 56], "patch_size": [14, 14]}, "image_seq_length": 4},
        _SQUARE,
        {"image_seq_length": 4},
    ),
    "kimi_k25": _family(
        {
            "projection_hidden_size": 64,
            "text_config": {
                "qk_rope_head_dim": 16,
                "qk_nope_head_dim": 16,
                "v_head_dim": 32,
                "head_dim": 16,
                "kv_lora_rank": 16,
                "q_lora_rank": 16,
            },
        }
    ),
    "kosmos-2": _family(_SEEN_56, _CROP, bos=True, picture=""),
    "kosmos-2.5": _family(None, {"max_patches": 512}),
    "lfm2_vl": _family(),
    "lfm3_vl": _family(None, _PATCH_16),
    "lighton_ocr": _family(),
    "llava": _family(_SEEN_56 | {"image_seq_length": 16}, _CROP, _LLAVA),
    "llava_next": _family(
        _SEEN_56 | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        _CROP | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        _LLAVA,
    ),
    "llava_next_video": _family(
        _SEEN_56 | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        _CROP | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        _LLAVA,
    ),
    "llava_onevision": _family(
        _SEEN_56 | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        _SQUARE | {"image_grid_pinpoints": [[56, 112], [112, 56], [112, 112]]},
        {"num_image_tokens": 16, "vision_feature_select_strategy": "full"},
    ),
    "minicpmv4_6": _family({"vision_config": {"patch_size": 14}}),
    "minicpmv4_7": _family({"vision_config": {"patch_size": 14}}),
    "minimax_m3_vl": _family(),
    "mistral3": _family({"vision_config": {"patch_size": 14}}, None, {"patch_size": 14, "spatial_merge_size": 2}),
    "mllama": _family(
        {
            "vision_config": {
                "image_size": 56,
                "patch_size": 14,
                "intermediate_layers_indices": [0, 1],
                "vision_output_dim": 192,
            },
            "text_config": {"cross_attention_layers": [1]},
        },
        {"size": {"height": 56, "width": 56}},
        bos=True,
    ),
    "muse_glimmer": _family({"out_hidden_size": 256, "projector_hidden_size": 64}),
    "ovis2": _family(
        {"vision_config": {"image_size": 56, "patch_size": 14}},
        _SQUARE,
        {"image_seq_length": 16},
        more_tokens=("<IMG_ATOM>",),
        image_token="<IMG_ATOM>",
    ),
    "paddleocr_vl": _family(_MROPE),
    "paligemma": _family(_SEEN_56, _SQUARE | {"image_seq_length": 16}, bos=True, picture="", image_token="<image>"),
    "qianfan_ocr": _family(
        {"vision_config": {"image_size": [56, 56], "patch_size": [14, 14]}, "image_seq_length": 4},
        _SQUARE,
        {"image_seq_length": 4},
    ),
    "qwen2_5_vl": _family(_MROPE),
    "qwen2_vl": _family(_MROPE),
    "qwen3_5": _family(_POSITIONS, _PATCH_16),
    "qwen3_5_moe": _family(_POSITIONS, _PATCH_16),
    "qwen3_vl": _family(_POSITIONS, _PATCH_16),
    "qwen3_vl_moe": _family(_POSITIONS, _PATCH_16),
    "video_llama_3": _family({"vision_config": {"patch_size": 14}}),
    "vipllava": _family(
        {
            "vision_config": {"image_size": 56, "patch_size": 14, "num_hidden_layers": 3},
            "vision_feature_layers": [-2, -1],
        },
        _CROP,
        _LLAVA,
    ),
    "phi4_multimodal": _family(),
    "qwen2_5_omni": _family(
        {"enable_audio_output": False, "thinker_config": _MROPE | {"vision_start_token_id": "token:<boi>"}},
        picture="<boi><image><eoi>",
        image_token="<image>",
    ),
}


def build(model_type: str, folder: Path, tokenizer, seed: int = 0) -> Path:
    """Write a tiny checkpoint of a family into a folder: configuration, random weights, processor and chat template."""
    family = FAMILIES[model_type]
    processor, tokenizer = _processor_and_tokenizer(model_type, family, tokenizer)
    picture = family.picture if family.picture is not None else getattr(processor, "image_token", None) or "<image>"
    config = _config(
        model_type, family, tokenizer, tokenizer.convert_tokens_to_ids(family.image_token or picture or "<image>")
    )
    torch.manual_seed(seed)
    model = _model_class(model_type)(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
        "{{ " + json.dumps(picture) + " if part['type'] == 'image' else part['text'] }}"
        "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    if model_type == "qwen2_5_omni":
        torch.save({}, folder / "spk_dict.pt")  # voices, which its checkpoints come with
    return folder


def _processor_and_tokenizer(model_type: str, family: Family, trained):
    """Return a processor, and the tokenizer that has every token that it asks for by name or by text."""
    named, more = {**_NAMED, **family.tokens}, dict.fromkeys(family.more_tokens)
    for _ in range(20):
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=copy.deepcopy(trained.backend_tokenizer),
            eos_token=trained.eos_token,
            pad_token=trained.pad_token,
            bos_token="<|im_start|>" if family.bos else None,
            unk_token="<unk>" if family.bos else None,
            padding_side="left",
            extra_special_tokens=named,
        )
        tokenizer.add_tokens(list(more), special_tokens=True)
        try:
            processor = _processor(model_type, family, tokenizer)
        except AttributeError as error:
            if "has no attribute" not in str(error) or "_token" not in str(error):
                raise
            name = str(error).split()[-1].removesuffix("_id").removesuffix("_ids")
            named[name] = f"<{name.removesuffix('_token')}>"
            continue
        texts = {str(text): None for name, text in vars(processor).items() if name.endswith("_token") and text}
        if texts.keys() <= set(tokenizer.get_vocab()):
            return processor, processor.tokenizer
        more |= texts
    raise AssertionError(f"{model_type}: tokens are still missing")


def _model_class(model_type: str):
    names = {
        **modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        **modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    }
    return getattr(transformers, names[model_type])


def _config(model_type: str, family: Family, tokenizer, image_token_id: int):
    """Return a family's default configuration, shrunk, with the tokenizer's tokens in it."""
    kind = getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[model_type])
    shrunk = _shrunk({**kind().to_dict(), **family.first}, tokenizer, image_token_id)
    given = json.loads(json.dumps(family.config), object_hook=lambda fields: _with_ids(fields, tokenizer))
    return kind(**_laid_over(shrunk, given))


def _with_ids(fields: dict, tokenizer) -> dict:
    """Return fields with ids in place of `token:` and a token's text."""
    return {
        name: tokenizer.convert_tokens_to_ids(value[6:]) if str(value).startswith("token:") else value
        for name, value in fields.items()
    }


def _shrunk(fields: dict, tokenizer, image_token_id: int) -> dict:
    found: dict = {}
    spare = iter(range(3, 200))
    for name, value in fields.items():
        if isinstance(value, dict) and name not in ("id2label", "label2id", "rope_parameters", "rope_scaling"):
            found[name] = _shrunk(value, tokenizer, image_token_id)
        elif name in _SIZES and isinstance(value, int):
            found[name] = _SIZES[name]
        elif name in ("layer_types", "mlp_layer_types") and isinstance(value, list):
            found[name] = value[-2:]
        elif name in ("image_token_id", "image_token_index") and not isinstance(value, list):
            found[name] = image_token_id
        elif name in ("video_token_id", "video_token_index"):
            found[name] = tokenizer.convert_tokens_to_ids("<video>")
        elif name in ("audio_token_id", "audio_token_index"):
            found[name] = tokenizer.convert_tokens_to_ids("<audio>")
        elif name == "vocab_size":
            found[name] = len(tokenizer)
        elif name == "eos_token_id":
            found[name] = tokenizer.eos_token_id
        elif name == "pad_token_id":
            found[name] = tokenizer.pad_token_id
        elif name == "bos_token_id" or (name == "decoder_start_token_id" and value is not None):
            found[name] = tokenizer.eos_token_id
        elif str(name).endswith(("_token_id", "_token_index")) and isinstance(value, int) and value >= len(tokenizer):
            found[name] = next(spare)
        elif name == "max_position_embeddings" and "vocab_size" in fields and isinstance(value, int):
            found[name] = max(value, 4096)
        elif name == "per_layer_config":
            continue
        elif name in ("rope_parameters", "rope_scaling") and isinstance(value, dict):
            found[name] = value | ({"mrope_section": [4, 6, 6]} if "mrope_section" in value else {})
        elif name not in ("transformers_version", "architectures", "dtype", "torch_dtype"):
            found[name] = value
    if "initializer_range" in found:
        found["initializer_range"] = 0.2
    return found


def _laid_over(old: dict, new: dict) -> dict:
    found = dict(old)
    for name, value in new.items():
        nested = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _laid_over(found[name], value) if nested else value
    return found


def _processor(model_type: str, family: Family, tokenizer):
    by_type = processing_auto.PROCESSOR_MAPPING_NAMES
    named = {"kosmos-2": "Kosmos2Processor", "kosmos-2.5": "Kosmos2_5Processor", "glmga": "Glm46VProcessor",
             "glm_ocr": "Glm46VProcessor", "cosmos3_omni": "Qwen3VLProcessor", "fast_vlm": "LlavaProcessor"}  # fmt: skip
    kind = getattr(transformers, by_type.get(model_type) or named[model_type])
    parts: dict = {"tokenizer": tokenizer}
    wanted = inspect.signature(kind.__init__).parameters
    if "image_processor" in wanted:
        parts["image_processor"] = _default(
            image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES, model_type, family.image
        )
    if "video_processor" in wanted and "video_processor" not in family.processor:
        try:
            parts["video_processor"] = _default(
                video_processing_auto.VIDEO_PROCESSOR_MAPPING_NAMES, model_type, family.video
            )
        except KeyError:
            parts["video_processor"] = transformers.Qwen2VLVideoProcessor()
    if "audio_processor" in wanted:
        parts["audio_processor"] = transformers.Phi4MultimodalFeatureExtractor()
    if "feature_extractor" in wanted:
        parts["feature_extractor"] = transformers.WhisperFeatureExtractor()
    return kind(**{**parts, **family.processor})


def _default(table, model_type: str, settings: dict):
    aliases = {"qwen3_vl_moe": "qwen3_vl", "glm4v_moe": "glm4v", "glm_ocr": "glm46v", "fast_vlm": "llava"}
    entry = table.get(model_type) or table[aliases[model_type]]
    name = entry if isinstance(entry, str) else entry.get("torchvision") or entry.get("pil")
    return getattr(transformers, name)(**settings)


SIZE_KNOWN = frozenset(
    {
        "cosmos3_edge", "cosmos3_omni", "ernie4_5_vl_moe", "exaone4_5", "glm46v", "glm4v", "glm4v_moe", "glm_ocr", "glmga",
        "hunyuan_vl", "hyperclovax_vision_v2", "lfm3_vl", "lighton_ocr", "minimax_m3_vl", "mistral3", "muse_glimmer",
        "paddleocr_vl", "qwen2_5_omni", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe",
        "video_llama_3",
    }
)  # fmt: skip
"""Families whose processor tells how large the model sees a picture; that of the others is null."""

IN_BATCHES = frozenset(
    {
        "blip", "blip-2", "exaone4_5", "florence2", "git", "glm5_next", "hyperclovax_vision_v2", "kosmos-2", "kosmos-2.5", "lfm3_vl",
        "minicpmv4_6", "minicpmv4_7", "mllama", "phi4_multimodal", "qwen3_5", "qwen3_5_moe",
    }
)  # fmt: skip
"""Families whose rows cannot be refilled as they end: they have another memory than a plain cache of keys and values, or
are told more than tokens at every step."""

LOADED_ALONE = frozenset(
    {
        "blip", "blip-2", "cosmos3_omni", "git", "glm5_next", "glm_ocr", "glmga", "hyperclovax_vision_v2",
        "kosmos-2.5", "llava_next_video", "minicpmv4_7", "qianfan_ocr", "vipllava", "qwen3_5_moe",
    }
)  # fmt: skip
"""Families that share the code of others or are slow: loaded and asked one question, and not run through a benchmark."""
