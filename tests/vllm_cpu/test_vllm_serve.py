"""A real `vllm serve` over HTTP and the real vLLM in this process, beside transformers: inputs, probes and crops.

VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/vllm_cpu -q        (docs/vllm.md says in which environment)
"""

import importlib.util
import json
import shutil
import urllib.request

import msgspec
import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed: it is tried in an environment of its own", allow_module_level=True)

import torch
from vllm_cpu.taught import ROWS, Listening, place_of, spec_of, surroundings, teach, with_box
from vllm_cpu.three_ways import server

from harness.models.chat_inputs import ChatInputs
from harness.models.served import SatoriServed
from harness.probes.probe_records import read_probes
from harness.probes.variants import ProbePlan
from harness.runs.store import load_run
from reports.pages.run_page import renew_page
from tasks.probe import ProbeSpec, probe_run
from tasks.run import run_benchmarks

WAYS = ("hf", "vllm", "openai")
PLAN = ProbePlan(fills=("mean",), controls=2)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    return teach(tmp_path_factory.mktemp("taught"))


@pytest.fixture(scope="module")
def address(taught, tmp_path_factory):
    with server(taught.checkpoint, tmp_path_factory.mktemp("server"), "--enable-scale-out") as url:
        yield url


@pytest.fixture(scope="module")
def asked(taught, address, tmp_path_factory):
    """Runs of the questions, by who is asked and whether with the tool."""
    out = tmp_path_factory.mktemp("runs")

    def ask(way, *, zoom):
        there = {"base_url": address, "served_name": "checkpoint"} if way == "openai" else {}
        spec = spec_of(taught.tasks, taught.checkpoint, out / way / str(zoom), zoom=zoom, backend=way, **there)
        return run_benchmarks(spec, surroundings()).folder

    return {("hf", False): ask("hf", zoom=False)} | {(way, True): ask(way, zoom=True) for way in WAYS}


def test_the_server_reads_the_tokens_and_pixels_that_transformers_makes(taught, address, tmp_path):
    """It tells what it made of a request at its render endpoint: every token, and every level of every patch."""
    from vllm.entrypoints.scale_out.token_in_token_out.mm_serde import decode_mm_kwargs_item

    from harness.models.checkpoint import inspect_checkpoint, override_limits

    listening = Listening(with_box)
    run_benchmarks(spec_of(taught.tasks, taught.checkpoint, tmp_path, zoom=False), surroundings(lambda _: listening))
    checkpoint = inspect_checkpoint(str(taught.checkpoint))
    limits = override_limits(checkpoint, None, None)
    inputs = ChatInputs(checkpoint, limits, given_limits=(None, None), template_kwargs={}, trust_remote_code=False)
    processor = inputs.processor.image_processor
    mean, std = (torch.tensor(values)[:, None] for values in (processor.image_mean, processor.image_std))
    model = SatoriServed("checkpoint", address)
    for prompt, _ in listening.heard:
        made = _rendered(address, model._request(prompt))
        own = inputs.tensors([prompt])
        (item,) = made["features"]["kwargs_data"]["image"]
        levels = own["pixel_values"].float().unflatten(1, (3, -1)) * std + mean

        assert made["token_ids"] == own["input_ids"][0].tolist()
        patches = decode_mm_kwargs_item(item)["pixel_values"].data
        assert torch.equal((levels * 255).round().flatten(1), patches.float())
    assert len(listening.heard) == ROWS


def _rendered(address, body):
    request = urllib.request.Request(
        f"{address}/chat/completions/render", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_all_three_answer_alike(asked):
    records = [list(load_run(asked[way, True]).records()) for way in WAYS]
    told = [[(one.generation.text, one.generation.crops, one.score.value) for one in found] for found in records]

    assert told[1] == told[0]
    assert told[2] == told[0]
    assert [one.score.value for one in records[0]] == [1.0] * ROWS


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_calls_for_a_crop_is_shown_it_and_goes_on(asked, way):
    folder = asked[way, True]
    records = list(load_run(folder).records())
    crops = [crop for record in records for crop in record.generation.crops]

    assert [crop.error for crop in crops] == [None] * ROWS
    assert [list(crop.box_image_px) for crop in crops] == [place_of(row) for row in range(ROWS)]
    assert all((folder / "media" / f"{crop.sha256}.webp").is_file() for crop in crops)
    renew_page(folder)
    assert (folder / "index.html").read_bytes().count(b'id="image-') == 2 * ROWS


def test_probes_find_the_same_by_all_three(asked, taught, address, tmp_path):
    """The same run is probed by each; the server gives answers alone."""
    run = asked["hf", False]
    told, probabilities = {}, {}
    for way in WAYS:
        folder = shutil.copytree(run, tmp_path / way)
        server_of = (("base_url", address), ("served_name", "checkpoint")) if way == "openai" else ()
        probe_run(ProbeSpec(folder, PLAN, changes=(("backend", way), *server_of)), surroundings())
        lines = read_probes((folder / "probes.jsonl").read_bytes(), "x")
        told[way] = [msgspec.structs.replace(line, p_original=None) for line in lines]
        probabilities[way] = [line.p_original for line in lines]

    assert len(told["hf"]) == ROWS * (2 + 2 * (1 + PLAN.controls))
    assert told["vllm"] == told["hf"]
    assert told["openai"] == told["hf"]
    assert None not in probabilities["hf"]
    assert probabilities["vllm"] == pytest.approx(probabilities["hf"], abs=2e-3)
    assert set(probabilities["openai"]) == {None}
