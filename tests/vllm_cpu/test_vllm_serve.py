"""A real `vllm serve` over HTTP and the real vLLM in this process, beside transformers: inputs and crops.

VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/vllm_cpu -q        (docs/vllm.md says in which environment)
"""

import importlib.util
import json
import urllib.request
from dataclasses import replace

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed: it is tried in an environment of its own", allow_module_level=True)

import torch
from vllm_cpu.taught import ROWS, Listening, place_of, spec_of, surroundings, with_call, write_questions
from vllm_cpu.three_ways import server

from harness.comparison.verify_run import verify_run
from harness.models.chat_inputs import ChatInputs
from harness.models.served import SatoriServed
from harness.runs.store import load_run
from reports.pages.run_page import renew_page
from tasks.run import run_benchmarks
from tasks.run_subject import find_subject, load_model
from training.loop.tiny_model import build_tiny_qwen2_5_vl


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Knows nothing: what it says is put in its mouth."""
    texts = ["Where is the square? <tool_call> image_zoom_in_tool bbox_2d <answer>red</answer>"] * 40
    return build_tiny_qwen2_5_vl(tmp_path_factory.mktemp("serve") / "base", texts)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("questions"))


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    with server(checkpoint, tmp_path_factory.mktemp("server"), "--enable-scale-out") as url:
        yield url


def test_the_server_reads_the_tokens_and_pixels_that_transformers_makes(checkpoint, tasks, address, tmp_path):
    """It tells what it made of a request at its render endpoint: every token, and every level of every patch."""
    from vllm.entrypoints.scale_out.token_in_token_out.mm_serde import decode_mm_kwargs_item

    from harness.models.checkpoint import inspect_checkpoint, override_limits

    listening = Listening(with_call)
    run_benchmarks(spec_of(tasks, checkpoint, tmp_path, zoom=True), surroundings(lambda _: listening))
    inspected = inspect_checkpoint(str(checkpoint))
    limits = override_limits(inspected, None, None)
    inputs = ChatInputs(inspected, limits, given_limits=(None, None), template_kwargs={}, trust_remote_code=False)
    processor = inputs.processor.image_processor
    mean, std = (torch.tensor(values)[:, None] for values in (processor.image_mean, processor.image_std))
    model = SatoriServed("checkpoint", address)
    looked_at = 0
    for prompt in listening.heard:
        made = _rendered(address, model._request(prompt))
        own = inputs.tensors([prompt])
        levels = ((own["pixel_values"].float().unflatten(1, (3, -1)) * std + mean) * 255).round().flatten(1)

        assert made["token_ids"] == own["input_ids"][0].tolist()
        pictures = levels.split(own["image_grid_thw"].prod(-1).tolist())
        for item, patches in zip(made["features"]["kwargs_data"]["image"], pictures, strict=True):
            if item is not None:  # what was told before is told by its hash
                assert torch.equal(decode_mm_kwargs_item(item)["pixel_values"].data.float(), patches)
                looked_at += 1
    assert looked_at >= 2 * ROWS, "each picture and each crop"
    assert sorted(len(prompt.images) for prompt in listening.heard) == [1] * ROWS + [2] * ROWS


def _rendered(address, body):
    request = urllib.request.Request(
        f"{address}/chat/completions/render", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


@pytest.mark.parametrize("way", ["hf", "vllm", "openai"])
def test_a_model_that_calls_for_a_crop_is_shown_it_and_goes_on(checkpoint, tasks, address, tmp_path, said, way):
    there = {"base_url": address, "served_name": "checkpoint"} if way == "openai" else {}
    spec = spec_of(tasks, checkpoint, tmp_path, zoom=True, backend=way, max_new_tokens=24, **there)
    answered = {}

    def scripted(asked):  # the model really answers each turn; what it says is another matter
        model = load_model(asked, surroundings(), find_subject(asked))
        answer_stream = model.answer_stream

        def say(prompts):
            for prompt, generation in answer_stream(prompts):
                answered[prompt.doc_id, len(prompt.said)] = generation.text
                yield prompt, replace(generation, text=with_call(prompt), truncated=False)

        model.answer_stream = say
        return model

    folder = run_benchmarks(spec, surroundings(scripted)).folder
    records = sorted(load_run(folder).records(), key=lambda record: record.sample.id)
    crops = [crop for record in records for crop in record.generation.crops]
    renew_page(folder)

    assert [crop.error for crop in crops] == [None] * ROWS
    assert [list(crop.box_image_px) for crop in crops] == [place_of(row) for row in range(ROWS)]
    assert all((folder / "media" / f"{crop.sha256}.webp").is_file() for crop in crops)
    assert verify_run(folder) == []
    assert len(answered) == 2 * ROWS
    said.append((answered, [crop.sha256 for crop in crops]))
    assert said[-1] == said[0], "what it really said of picture and crop is what it says by transformers"


@pytest.fixture(scope="module")
def said():
    """What the model said one way after the other."""
    return []
