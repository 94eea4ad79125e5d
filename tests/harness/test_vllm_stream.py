"""How requests go to vLLM and come back, with an engine that replays tokens; tests/vllm_cpu asks the real one."""

import math
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from harness.errors import ConfigError, IncompleteError
from harness.models.answer_probability import AnswerAfter
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding

WORDS = "red blue one"


class EngineDeadError(Exception):
    pass


class VLLMValidationError(Exception):
    """Theirs is no ValueError either."""


@dataclass
class Parameters:
    given: dict

    def __init__(self, **given):
        self.given = given


class Engine:
    """Ends one request a step, the last one given first, with tokens that a test sets."""

    picture_token = -1

    def __init__(self, arguments):
        self.arguments = arguments
        self.engine_core = types.SimpleNamespace(shutdown=lambda: None)
        self.begin()

    def begin(self):
        self.requests, self.aborted, self.most = [], [], 0
        self.reasons, self.answer, self.dies_after, self.extra_places, self.logprob = {}, [], None, 0, -0.5

    def add_request(self, name, request, parameters, *, lora_request):
        if len(request["prompt_token_ids"]) > 400:
            raise VLLMValidationError("The prompt is longer than the maximum model length of 400")
        self.requests.append((name, request, parameters, lora_request))
        self.most = max(self.most, len(self.requests))

    def step(self):
        if self.dies_after is not None:
            if not self.dies_after:
                raise EngineDeadError("EngineCore encountered an issue.")
            self.dies_after -= 1
        name, request, *_ = self.requests.pop()
        read = self.read(request)
        reasons = self.reasons.get(len(read), [])
        reason = reasons.pop(0) if reasons else "stop"
        entry = types.SimpleNamespace(logprob=self.logprob)
        completion = types.SimpleNamespace(
            token_ids=self.answer, cumulative_logprob=self.logprob, logprobs=[{1: entry}], finish_reason=reason
        )
        rows = [None, *({token: types.SimpleNamespace(logprob=-float(token))} for token in read[1:])]
        return [
            types.SimpleNamespace(
                request_id=name, finished=True, prompt_token_ids=read, outputs=[completion], prompt_logprobs=rows
            )
        ]

    def read(self, request):
        """Put a token in for each place of a picture, as vLLM does."""
        tokens = []
        pictures = iter(request.get("multi_modal_data", {}).get("image", ()))
        for token in request["prompt_token_ids"]:
            places = 1
            if token == self.picture_token:
                picture = next(pictures)
                places = picture.width * picture.height // 28**2 + self.extra_places
            tokens += [token] * places
        return tokens

    def abort_request(self, names):
        self.aborted += names


@pytest.fixture(scope="module")
def vllm_in_its_place():
    """Let `import vllm` find a library that replays."""
    modules = {
        "vllm": {"SamplingParams": Parameters, "__version__": "0"},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"EngineArgs": lambda **given: given},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.llm_engine": {"LLMEngine": types.SimpleNamespace(from_engine_args=Engine)},
        "vllm.v1.engine.exceptions": {"EngineDeadError": EngineDeadError},
        "vllm.sampling_params": {"RequestOutputKind": types.SimpleNamespace(FINAL_ONLY=2)},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda *given: given},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, holds in modules.items():
            module = types.ModuleType(name)
            vars(module).update(holds)
            patch.setitem(sys.modules, name, module)
        patch.delitem(sys.modules, "harness.models.vllm_model", raising=False)
        yield
    sys.modules.pop("harness.models.vllm_model", None)


@pytest.fixture(scope="module")
def loaded(vllm_in_its_place, tiny_qwen2_5_vl):
    from transformers import AutoTokenizer

    from harness.models.vllm_model import SatoriVLLM

    Engine.picture_token = AutoTokenizer.from_pretrained(tiny_qwen2_5_vl).convert_tokens_to_ids("<|image_pad|>")
    made = SatoriVLLM(str(tiny_qwen2_5_vl), batch_size=8)
    yield made
    made.close()


@pytest.fixture
def model(loaded):
    """The model with an engine that nothing has happened to."""
    tokenizer = loaded._inputs.tokenizer
    loaded._engine.begin()
    loaded._engine.answer = [*tokenizer.encode(WORDS), tokenizer.eos_token_id]
    return loaded


SHORT = Decoding(max_new_tokens=8)


def prompt(number, words="Left?", decoding=SHORT):
    picture = Image.new("RGB", (56, 28 * (1 + number % 3)), "red")
    return Prompt("t", number, 0, (Turn("user", (picture, words)),), decoding)


def test_every_prompt_comes_back_with_its_answer_and_only_so_many_are_under_way(model):
    asked = [prompt(number) for number in range(30)]

    answered = {one.doc_id: outcome for one, outcome in model.answer_stream(iter(asked))}

    assert answered.keys() == set(range(30))
    assert {outcome.text for outcome in answered.values()} == {WORDS}
    assert model._engine.most == 9  # eight, and one that waits
    assert {outcome.input_size.height for outcome in answered.values()} == {28, 56, 84}
    assert not any(outcome.truncated for outcome in answered.values())


def test_what_comes_after_the_end_is_asked_while_anything_is_under_way(model):
    class Grows:
        def __init__(self):
            self.waiting = [prompt(0)]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.waiting:
                raise StopIteration
            return self.waiting.pop()

    feed, seen = Grows(), []
    for one, _ in model.answer_stream(feed):
        seen.append(one.doc_id)
        if one.doc_id < 3:
            feed.waiting.append(prompt(one.doc_id + 1))

    assert seen == [0, 1, 2, 3]


def test_a_prompt_that_is_too_long_costs_itself_alone(model):
    asked = [prompt(0), prompt(1, "far " * 400), prompt(2)]

    outcomes = {one.doc_id: outcome for one, outcome in model.answer_stream(iter(asked))}

    assert [outcomes[0].text, outcomes[2].text] == [WORDS, WORDS]
    assert "longer than the maximum" in model.refusal(outcomes[1])


def test_what_is_handed_back_is_given_again_and_no_answer_after_three_times(model):
    one, other = prompt(0), prompt(1)
    lengths = [
        len(model._engine.read({"prompt_token_ids": tokens(model, p), "multi_modal_data": {"image": list(p.images)}}))
        for p in (one, other)
    ]
    model._engine.reasons = {lengths[0]: ["error"], lengths[1]: ["error", "abort", "error"]}

    outcomes = {p.doc_id: outcome for p, outcome in model.answer_stream(iter([one, other]))}

    assert outcomes[0].text == WORDS
    assert "gave it back 3 times (error)" in model.refusal(outcomes[1])


def tokens(model, one):
    return model._inputs.token_ids(model._inputs.render(one.turns))


def test_pictures_of_another_size_are_no_answer(model):
    model._engine.extra_places = 1

    ((_, outcome),) = model.answer_stream(iter([prompt(0)]))

    assert "resized pictures" in model.refusal(outcome)


def test_logits_that_are_no_numbers_are_no_answer(model):
    model._engine.logprob = float("nan")

    ((_, outcome),) = model.answer_stream(iter([prompt(0)]))

    assert "no finite numbers" in model.refusal(outcome)


def test_an_engine_that_dies_ends_the_run_and_names_the_cause(model):
    model._engine.dies_after = 2
    model._log.write_text("(EngineCore pid=7) ERROR [core.py:9] torch.OutOfMemoryError: CUDA out of memory.\n")
    stream, seen = model.answer_stream(prompt(number) for number in range(9)), []

    with pytest.raises(EngineDeadError) as died:
        seen.extend(stream)
    with pytest.raises(IncompleteError, match=r"OutOfMemoryError: CUDA out of memory.*--batch-size.*goes on from"):
        model.refusal(died.value)

    assert len(seen) == 0 or len(seen) == 2


def test_whoever_stops_listening_leaves_nothing_under_way(model):
    stream = model.answer_stream(prompt(number) for number in range(5))
    next(stream)
    stream.close()

    assert len(model._engine.aborted) == 4


def test_beams_are_refused(model):
    with pytest.raises(ConfigError, match="beams"):
        list(model.answer_stream(iter([prompt(0, decoding=Decoding(num_beams=2))])))


def test_greedy_says_nothing_of_sampling_and_sampling_has_a_seed_for_each_sample(model):
    greedy = model._parameters(prompt(0)).given
    drawn = [
        model._parameters(prompt(n, decoding=Decoding(temperature=0.7, top_p=0.9, until=("\n\n",)))).given
        for n in (0, 1)
    ]

    assert greedy["temperature"] == 0
    assert "seed" not in greedy
    assert greedy["stop"] is None
    assert not greedy["skip_special_tokens"]
    assert model._engine.picture_token in greedy["logit_bias"]
    assert drawn[0]["seed"] != drawn[1]["seed"]
    assert drawn[0]["stop"] == ["\n\n"]
    assert drawn[0]["detokenize"]


def test_answers_are_weighed_after_what_was_written(model):
    before, answer, long = (tuple(model.ids_of(text)) for text in ("<caption>one</caption>", "red blue", "far " * 400))

    found = model.weigh([AnswerAfter(prompt(0), before, answer), AnswerAfter(prompt(1), long, answer)])

    assert found[0] == -float(sum(answer))  # as the engine weighs
    assert math.isnan(found[1])  # it takes no such prompt


def test_vllm_loads_the_very_processor_files_beside_the_weights(model, tiny_qwen2_5_vl):
    names = {file.name for file in Path(model._engine.arguments["model"]).iterdir()}

    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= names
    assert model._engine.arguments["mm_processor_kwargs"]["size"]["shortest_edge"] == model.pixel_limits.min_pixels
    assert model._engine.arguments["generation_config"] == "vllm"


def test_a_checkpoint_that_vllm_does_not_load_is_refused_with_the_cause(
    vllm_in_its_place, tiny_qwen2_5_vl, monkeypatch
):
    import os

    from harness.models import vllm_model

    def fails(arguments):
        os.write(
            2,
            b"ERROR ValueError: Model architectures ['X'] are not supported for now.\n"
            b"RuntimeError: Engine core initialization failed. See root cause above.\n",
        )
        raise RuntimeError("Engine core initialization failed. See root cause above.")

    monkeypatch.setattr(vllm_model, "_ENGINE", types.SimpleNamespace(from_engine_args=fails))

    with pytest.raises(ConfigError, match=r"cannot load .*Model architectures \['X'\].*--backend hf"):
        vllm_model.SatoriVLLM(str(tiny_qwen2_5_vl))


def test_too_little_memory_is_named_with_its_mends(vllm_in_its_place, tiny_qwen2_5_vl, monkeypatch):
    from harness.models import vllm_model

    def fails(arguments):
        raise ValueError("Free memory on device (3.1/80 GiB) is less than desired GPU memory utilization (0.9)")

    monkeypatch.setattr(vllm_model, "_ENGINE", types.SimpleNamespace(from_engine_args=fails))

    with pytest.raises(ConfigError, match=r"does not fit into memory.*--gpu-memory"):
        vllm_model.SatoriVLLM(str(tiny_qwen2_5_vl))
