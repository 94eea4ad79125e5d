import hashlib
import json
import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from harness.errors import ConfigError, IncompleteError
from harness.images.pictures import UnreadablePictureError
from harness.models import refilled_rows
from harness.models.base import (
    ImageAtPath,
    Prompt,
    RecordingModel,
    Turn,
    is_out_of_memory,
    read_turns,
)
from harness.models.chat_inputs import fold_system_turns
from harness.models.checkpoint_files import CheckpointError
from harness.models.decoding import Decoding, sample_seed
from harness.models.hf import SatoriHF
from harness.models.refilled_rows import RefilledRows
from harness.models.replay import SatoriReplay
from harness.models.token_choice import SeededSampling
from harness.models.token_roles import dropped_ids
from harness.scoring.box_dialects import dialect_named
from harness.values import Generation, PixelLimits, Size

FAMILIES = ["tiny_qwen2_5_vl", "tiny_qwen2_vl", "tiny_qwen3_vl", "tiny_llava", "tiny_idefics3"]


@pytest.fixture(scope="module")
def loaded(request):
    """Load each checkpoint once: name and options to model."""
    models: dict = {}

    def load(name: str, **options) -> SatoriHF:
        key = (name, tuple(options.items()))
        if key not in models:
            models[key] = SatoriHF(str(request.getfixturevalue(name)), device="cpu", **options)
        model = models[key]
        model.recorder = None
        model.batch_size = 3
        model._has_answered, model._refusals = False, []
        return model

    return load


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_texts_do_not_depend_on_the_batch_size(loaded, three, family):
    model = loaded(family)

    texts = {}
    for model.batch_size in (1, 3):
        texts[model.batch_size] = [result.text for result in three.ask(model, max_new_tokens=24)]

    assert texts[1] == texts[3]
    assert len(set(texts[1])) > 1, "the model looks at its input"


@pytest.mark.parametrize("family", FAMILIES)
def test_refilled_rows_write_what_batches_and_single_questions_write(
    loaded, three, recorder, photos, monkeypatch, family
):
    """Rows end at different steps, so that others join those that are in the middle of their text."""
    model = loaded(family)
    questions = [f"What colour is it? {'red circle ' * (n * 3 % 7)}{n}" for n in range(7)]
    asked = type(three)([photos[0].rotate(40 * n) if n % 3 else photos[2] for n in range(7)], questions)

    def written(batch_size: int, why_batches: str | None, **arguments) -> dict:
        model.batch_size, model.recorder = batch_size, type(recorder)()
        monkeypatch.setattr(model, "why_batches", why_batches)
        asked.ask(model, max_new_tokens=12, **arguments)
        return {doc: replace(kept, device_s=None) for (_, doc), kept in sorted(model.recorder.kept.items())}

    assert model.why_batches is None
    ends = model._end_ids | {token for token in range(1, 400) if token % 9 == 4}  # a text ends at any step
    monkeypatch.setattr(model, "_end_ids", ends)
    monkeypatch.setattr(model._model.generation_config, "eos_token_id", sorted(ends))
    drawn = {"temperature": 1.3, "top_p": 0.95, "top_k": 50, "min_p": 0.001}
    stop = next(kept.text for kept in written(3, "a batch").values() if len(kept.text) > 8)[4:6]
    lengths: list[set[int]] = []
    for arguments in ({}, drawn, {"repetition_penalty": 1.4}, {"until": [stop]}):
        alone = written(1, "a batch", **arguments)

        assert written(4, None, **arguments) == alone, arguments
        with monkeypatch.context() as patched:  # one by one
            patched.setattr("harness.models.hf._FREE_BEFORE_READING", {"cpu": 3})
            assert written(3, None, **arguments) == alone, arguments
        if "repetition_penalty" not in arguments:  # `generate` penalises what pads a batch as well
            assert written(3, "a batch", **arguments) == alone, arguments
        lengths.append({kept.output_tokens for kept in alone.values()})
    assert min(map(len, lengths)) > 1, "rows end at different steps"
    assert max(map(len, lengths)) > 2, "and so do those of one kind"


@pytest.mark.parametrize("at", ["begin", "step"])
def test_refilled_rows_are_fewer_when_memory_runs_out(loaded, three, monkeypatch, at):
    model = loaded("tiny_qwen2_5_vl")
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    own = {"begin": RefilledRows._choose, "step": RefilledRows.step}[at]

    def full(rows, *arguments, **options):
        if at == "begin" and model.batch_size > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if len(rows.rows) > 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return own(rows, *arguments, **options)

    monkeypatch.setattr(RefilledRows, own.__name__, full)

    assert [result.text for result in three.ask(model, max_new_tokens=8)] == whole
    assert model.batch_size == 1


def test_a_question_of_another_kind_than_the_first_is_asked_as_a_batch(loaded, three, monkeypatch):
    model = loaded("tiny_qwen2_5_vl")
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    own = refilled_rows._check

    def check(module, ids, kept):
        if ids.shape[1] < 100:
            raise refilled_rows.NotRefillableError("it is short")
        own(module, ids, kept)

    monkeypatch.setattr(refilled_rows, "_check", check)

    assert [result.text for result in three.ask(model, max_new_tokens=8)] == whole


@pytest.mark.parametrize("reads_alone", [True, False])
def test_a_question_that_the_model_cannot_read_costs_itself_only(loaded, three, recorder, monkeypatch, reads_alone):
    model = loaded("tiny_qwen2_5_vl")
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    three.questions[1] = "triangle triangle"
    marked = model._inputs.tokenizer("triangle").input_ids[-1]
    monkeypatch.setattr("harness.models.hf._FREE_BEFORE_READING", {"cpu": 99 if reads_alone else 1})
    model.recorder = recorder

    def failing(_module, arguments):
        if (arguments[0] == marked).any():
            raise ValueError("no such position")

    hook = model.module.get_input_embeddings().register_forward_pre_hook(failing)
    try:
        texts = [result.text for result in three.ask(model, max_new_tokens=8)]
    finally:
        hook.remove()

    assert [whole[0], "", whole[2]] == texts
    assert recorder.kept[three.task, 1].error == "ValueError: no such position"


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        ("tiny_qwen2_5_vl", [(56, 56), (644, 476), (28, 196)]),
        ("tiny_qwen2_vl", [(56, 56), (364, 252), (28, 196)]),
        ("tiny_qwen3_vl", [(64, 64), (416, 288), (32, 192)]),
        ("tiny_llava", [None, None, None]),
        ("tiny_idefics3", [None, None, None]),
    ],
)
def test_the_recorded_input_size_is_what_the_processor_made(loaded, three, recorder, family, sizes):
    model = loaded(family)
    model.recorder = recorder

    three.ask(model, max_new_tokens=1)

    recorded = [recorder.kept[three.task, doc_id].input_size for doc_id in range(3)]
    assert [size and Size(*size) for size in sizes] == recorded


def test_a_processor_that_resizes_again_is_noticed(loaded, three):
    model = loaded("tiny_qwen2_5_vl")
    limits = model.pixel_limits
    model.pixel_limits = PixelLimits(2 * limits.max_pixels, 4 * limits.max_pixels, limits.factor)

    try:
        with pytest.raises(ConfigError, match=r"every sample is refused for the same reason.*wrong frame"):
            three.ask(model, max_new_tokens=1)
    finally:
        model.pixel_limits = limits


def test_pixel_limits_can_be_given(tiny_qwen2_5_vl, three, recorder):
    model = SatoriHF(str(tiny_qwen2_5_vl), device="cpu", min_pixels=28 * 28, max_pixels=100 * 28 * 28, batch_size=3)
    model.recorder = recorder

    three.ask(model, max_new_tokens=1)

    assert recorder.kept[three.task, 1].input_size == Size(308, 224)


@pytest.mark.parametrize("limits", [{"min_pixels": 5000, "max_pixels": 4000}, {"max_pixels": 100}, {"min_pixels": 0}])
def test_impossible_pixel_limits_are_refused(tiny_qwen2_5_vl, limits):
    with pytest.raises(ConfigError, match="pixel limits"):
        SatoriHF(str(tiny_qwen2_5_vl), device="cpu", **limits)


def test_pixel_limits_of_a_family_without_them_are_refused(tiny_llava):
    with pytest.raises(ConfigError, match="has no pixel limits"):
        SatoriHF(str(tiny_llava), device="cpu", max_pixels=401_408)


def test_an_adapter_changes_the_text_of_its_base(loaded, three):
    base, adapted = loaded("tiny_qwen2_5_vl"), loaded("tiny_adapter")

    before = [result.text for result in three.ask(base, max_new_tokens=24)]
    after = [result.text for result in three.ask(adapted, max_new_tokens=24)]

    assert before != after
    assert adapted.checkpoint.box_dialect == dialect_named("qwen2_5_vl")


def test_an_adapter_whose_tensors_find_no_place_is_refused(tmp_path, tiny_adapter):
    from safetensors.torch import load_file, save_file

    for file in tiny_adapter.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file({f"elsewhere.{key}": value for key, value in weights.items()}, tmp_path / "adapter_model.safetensors")

    with pytest.raises(CheckpointError, match="does not fit its base"):
        SatoriHF(str(tmp_path), device="cpu")


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path, tiny_qwen2_5_vl):
    from safetensors.torch import load_file, save_file

    for file in tiny_qwen2_5_vl.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights.pop(max(weights))
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointError, match="lacks 1 tensors"):
        SatoriHF(str(tmp_path), device="cpu")


def test_an_unreadable_image_costs_its_own_sample_only(loaded, three, recorder):
    model = loaded("tiny_qwen2_5_vl")
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    three.images[1].image = None
    model.recorder = recorder

    texts = [result.text for result in three.ask(model, max_new_tokens=8)]

    assert [whole[0], "", whole[2]] == texts
    assert recorder.kept[three.task, 1].error == "unreadable image: OSError: image file is truncated"
    assert recorder.kept[three.task, 0].error is None


def test_an_image_too_thin_for_the_grid_is_unreadable(loaded, three, recorder):
    model = loaded("tiny_qwen2_5_vl")
    three.images[0].image = Image.new("RGB", (2010, 10))
    model.recorder = recorder

    three.ask(model, max_new_tokens=1)

    assert "200" in recorder.kept[three.task, 0].error


def test_a_text_that_the_budget_ends_is_truncated(loaded, three, recorder):
    model = loaded("tiny_qwen2_5_vl")
    model.recorder = recorder

    results = three.ask(model, max_new_tokens=5)

    assert all(generation.truncated for generation in recorder.kept.values())
    assert [result.token_counts.output_tokens for result in results] == [5, 5, 5]


def test_a_text_that_ends_by_itself_is_not_truncated(loaded, three, recorder, monkeypatch):
    model = loaded("tiny_qwen2_5_vl")
    tokenizer = model._inputs.tokenizer
    ids = tokenizer("red circle").input_ids
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    rows = [[*ids, end, pad, pad], [*ids, pad, pad, pad][: len(ids) + 3], [*ids, *ids, *ids][: len(ids) + 3]]
    prompts_width = 0

    def generate(**inputs):
        nonlocal prompts_width
        prompts_width = inputs["input_ids"].shape[1]
        return torch.cat([inputs["input_ids"], torch.tensor(rows)], dim=1)

    monkeypatch.setattr(model._model, "generate", generate)
    monkeypatch.setattr(model, "why_batches", "padding is a matter of batches")
    # All the same size, so that rows and documents are in one order.
    three.images = three.images[:1] * 3
    three.questions = three.questions[:1] * 3
    model.recorder = recorder

    three.ask(model, max_new_tokens=len(ids) + 3)

    first, second, third = (recorder.kept[three.task, doc_id] for doc_id in range(3))
    assert (first.text, first.truncated, first.output_tokens) == ("red circle", False, len(ids) + 1)
    assert (second.truncated, second.output_tokens) == (True, len(ids))
    assert third.truncated


def test_a_stop_string_ends_a_text_and_is_not_part_of_it(loaded, three, recorder):
    model = loaded("tiny_qwen2_5_vl")
    whole = three.ask(model, max_new_tokens=24)[1].text
    stop = whole[len(whole) // 2 :][:2]
    model.recorder = recorder

    text = three.ask(model, max_new_tokens=24, until=[stop])[1].text

    assert whole[: whole.index(stop)] == text
    assert not recorder.kept[three.task, 1].truncated


def test_tokens_are_counted_image_included(loaded, three):
    result = three.ask(loaded("tiny_qwen2_5_vl"), max_new_tokens=3)[1]

    image_tokens = (644 // 28) * (476 // 28)
    assert result.token_counts.input_tokens > image_tokens
    assert result.token_counts.output_tokens == 3


def test_a_sampled_text_does_not_depend_on_its_batch(loaded, three):
    model = loaded("tiny_qwen2_5_vl")
    arguments = {"max_new_tokens": 16, "temperature": 1.3, "top_p": 0.95, "top_k": 50, "min_p": 0.001}

    texts = {}
    for model.batch_size in (1, 2, 3):
        texts[model.batch_size] = [result.text for result in three.ask(model, **arguments)]

    assert texts[1] == texts[2] == texts[3]
    assert texts[1] != [result.text for result in three.ask(model, max_new_tokens=16)]


def test_another_seed_samples_other_texts(loaded, three):
    first, second = loaded("tiny_qwen2_5_vl", seed=1), loaded("tiny_qwen2_5_vl", seed=2)

    texts = [
        [result.text for result in three.ask(model, max_new_tokens=16, temperature=1)] for model in (first, second)
    ]

    assert texts[0] != texts[1]


def test_documents_are_sampled_independently(loaded, three):
    model = loaded("tiny_qwen2_5_vl")
    three.images, three.questions = three.images[:1] * 3, three.questions[:1] * 3

    texts = [result.text for result in three.ask(model, max_new_tokens=16, temperature=1)]

    assert len(set(texts)) == 3


def test_repeats_of_a_sampled_request_differ_and_of_a_greedy_one_do_not(loaded, three):
    model = loaded("tiny_qwen2_5_vl")

    sampled = [result.text for result in three.ask(model, repeats=2, max_new_tokens=16, temperature=1)]
    greedy = [result.text for result in three.ask(model, repeats=2, max_new_tokens=16)]

    assert all(sampled[i] != sampled[i + 1] for i in (0, 2, 4))
    assert all(greedy[i] == greedy[i + 1] for i in (0, 2, 4))


def test_seeded_sampling_draws_from_the_softmax():
    logits = torch.tensor([[0.0, 1.0, 2.0, -math.inf]])
    sampling = SeededSampling([torch.Generator().manual_seed(7)])

    draws = torch.stack([sampling(torch.empty(1, 0), logits).argmax() for _ in range(20_000)])
    shares = torch.bincount(draws, minlength=4) / len(draws)

    assert torch.allclose(torch.softmax(logits[0], 0), shares, atol=0.015)


def test_seeds_of_samples_differ():
    seeds = {sample_seed(seed, task, row, n) for seed in (0, 1) for task in "ab" for row in (0, 1) for n in (0, 1)}

    assert len(seeds) == 16
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("family", FAMILIES)
def test_placeholders_of_pictures_are_never_generated(loaded, three, monkeypatch, family):
    model = loaded(family)
    spoken: list[int] = []
    written = model._written
    monkeypatch.setattr(model, "_written", lambda row, *others: spoken.extend(row) or written(row, *others))

    three.ask(model, max_new_tokens=64, temperature=3.0)

    assert model._suppressed_ids
    assert len(spoken) > 3
    assert not model._suppressed_ids & set(spoken)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_backends_take_the_same_control_tokens_apart(loaded, request, served, family):
    from harness.models.control_tokens import tokens_of_folder
    from harness.models.served import SatoriServed

    cases = json.loads((Path(__file__).parents[1] / "cases" / "control_tokens.json").read_text(encoding="utf-8"))
    folder = Path(request.getfixturevalue(family))
    own = sorted(tokens_of_folder(folder))
    here = loaded(family)
    there = SatoriServed("tiny", served.url, control_tokens=own)

    for text in [*(case["text"] for case in cases), "".join(own), *own]:
        there.generate_batch([Prompt("t", 0, 0, (Turn("user", (text,)),), Decoding(max_new_tokens=1))])
        assert here._inputs._template_part(text, "user")["text"] == served.seen[-1]["messages"][0]["content"]


def test_template_words_reach_the_chat_template(tmp_path, tiny_qwen2_5_vl, three):
    folder = shutil.copytree(tiny_qwen2_5_vl, tmp_path / "thinking")
    template = folder / "chat_template.jinja"
    written = template.read_text() + "{%- if enable_thinking is defined and not enable_thinking %}no thought{% endif %}"
    template.write_text(written)
    turns = (Turn("user", ("what?",)),)

    plain = SatoriHF(str(folder), device="cpu")
    without = SatoriHF(str(folder), device="cpu", chat_template_kwargs='{"enable_thinking": false}')

    assert without._inputs.render(turns) == plain._inputs.render(turns) + "no thought"
    with pytest.raises(ConfigError, match="cannot set tokenize"):
        SatoriHF(str(folder), device="cpu", chat_template_kwargs={"tokenize": True})


def test_a_placeholder_in_a_question_does_not_call_for_an_image(loaded, three):
    for family, token in (("tiny_qwen2_5_vl", "<|image_pad|>"), ("tiny_llava", "<image>")):
        three.questions[0] = f"What does {token} mean?"

        results = three.ask(loaded(family), max_new_tokens=2)

        assert len(results) == 3


def test_a_system_turn_reaches_a_template_without_a_system_role(loaded, three):
    model = loaded("tiny_llava")
    assert not model._inputs._has_system_role

    turns = read_turns(three.messages({"image": None, "question": "Left?"}), "here")

    assert "user\nAnswer in one word.\n\nLeft?" in model._inputs.render(turns)


def test_a_system_turn_stays_where_the_template_has_the_role(loaded, three):
    model = loaded("tiny_qwen2_5_vl")

    turns = read_turns(three.messages({"image": None, "question": "Left?"}), "here")

    assert model._inputs.render(turns).startswith(
        "<|im_start|>system\nAnswer in one word.<|im_end|>\n<|im_start|>user\nLeft?"
    )


def test_folding_without_a_system_turn_changes_nothing():
    turns = (Turn("user", ("a",)), Turn("assistant", ("b",)), Turn("user", ("c",)))

    assert fold_system_turns(turns) == turns
    assert fold_system_turns([Turn("system", ("s",)), *turns])[0] == Turn("user", ("s\n\n", "a"))


def test_tags_survive_decoding_even_when_they_are_special(loaded, monkeypatch):
    model = loaded("tiny_qwen2_5_vl")
    tokenizer = model._inputs.tokenizer
    tags = tokenizer.convert_tokens_to_ids(["<caption>", "</caption>"])
    special = SimpleNamespace(
        all_special_ids=[*tokenizer.all_special_ids, *tags],
        added_tokens_decoder=tokenizer.added_tokens_decoder,
        convert_ids_to_tokens=tokenizer.convert_ids_to_tokens,
    )
    monkeypatch.setattr(model, "_dropped_ids", dropped_ids(special))
    row = tokenizer("<caption>red</caption><|im_start|><bbox>[[0,4,8,12]]</bbox>").input_ids

    text = model._written(row, Decoding(), Generation("")).generation.text

    assert text == "<caption>red</caption><bbox>[[0,4,8,12]]</bbox>"


def test_marks_of_thoughts_and_answers_survive_decoding_even_when_they_are_special():
    written = ["[THINK]", "◁/think▷", "<|channel|>", "<|begin_of_box|>", "<channel|>", "<think>"]
    dropped = ["<|im_end|>", "<pad>", "<|image_pad|>", "<|im_start|>"]
    tokens = dict(enumerate([*written, *dropped]))
    tokenizer = SimpleNamespace(
        all_special_ids=list(tokens), added_tokens_decoder={}, convert_ids_to_tokens=tokens.__getitem__
    )

    assert {tokens[token] for token in dropped_ids(tokenizer)} == set(dropped)


def test_documents_without_an_image_are_answered_beside_others(loaded, three):
    model = loaded("tiny_qwen2_5_vl")
    three.images[1] = None

    texts = {}
    for model.batch_size in (1, 3):
        texts[model.batch_size] = [result.text for result in three.ask(model, max_new_tokens=8)]

    assert texts[1] == texts[3]


def test_the_model_survives_clean(loaded, three):
    model = loaded("tiny_qwen2_5_vl")
    before = [result.text for result in three.ask(model, max_new_tokens=4)]

    model.clean()

    assert before == [result.text for result in three.ask(model, max_new_tokens=4)]


def test_the_checkpoints_own_decoding_habits_are_ignored(tmp_path, tiny_qwen2_5_vl, loaded, three):
    import json

    for file in tiny_qwen2_5_vl.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    habits = json.loads((tmp_path / "generation_config.json").read_text())
    habits |= {"do_sample": True, "temperature": 2.0, "repetition_penalty": 3.0, "no_repeat_ngram_size": 1}
    (tmp_path / "generation_config.json").write_text(json.dumps(habits))
    plain = [result.text for result in three.ask(loaded("tiny_qwen2_5_vl"), max_new_tokens=24)]

    model = SatoriHF(str(tmp_path), device="cpu", batch_size=3)

    assert plain == [result.text for result in three.ask(model, max_new_tokens=24)]


@pytest.mark.parametrize(
    "arguments", [{"repetition_penalty": 1.5}, {"num_beams": 2}, {"temperature": 1.0, "repetition_penalty": 1.2}]
)
def test_generation_arguments_are_honoured(loaded, three, arguments):
    model = loaded("tiny_qwen2_5_vl")
    greedy = [result.text for result in three.ask(model, max_new_tokens=24)]

    assert greedy != [result.text for result in three.ask(model, max_new_tokens=24, **arguments)]


def test_an_unknown_generation_argument_is_refused_by_name(loaded, three):
    with pytest.raises(
        ValueError, match=r"task satori_probe: unknown generation argument 'max_new_token'.*max_new_tokens"
    ):
        three.ask(loaded("tiny_qwen2_5_vl"), max_new_token=5)


@pytest.mark.parametrize("options", [{"device": "tpu9"}, {"dtype": "int3"}, {"batch_size": 0}, {"batch_size": "many"}])
def test_wrong_options_are_refused(tiny_qwen2_5_vl, options):
    with pytest.raises(ConfigError):
        SatoriHF(str(tiny_qwen2_5_vl), **{"device": "cpu", **options})


def test_lmms_eval_builds_the_model_from_its_argument_string(tiny_qwen2_5_vl, three):
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    from harness.models.registry import manifests

    registry = ModelRegistryV2()
    for manifest in registry._coerce_payload_to_manifests(manifests):
        registry.register_manifest(manifest)
    model = registry.get_model_class("satori_hf").create_from_arg_string(
        f"pretrained={tiny_qwen2_5_vl},max_pixels=100352", {"batch_size": "auto", "max_batch_size": 2, "device": "cpu"}
    )

    assert registry.resolve("satori_hf").model_type == "chat"
    assert model.batch_size == 2
    assert len(three.ask(model, max_new_tokens=2)) == 3


# What cannot be answered.


def weights_changed(tiny, folder, change):
    """A copy of a checkpoint whose tensors were changed by name."""
    from safetensors.torch import load_file, save_file

    for file in tiny.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = {name: change(name, value.clone()) for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def one_logit_of_nan(name, value):
    if "embed_tokens" in name:
        value[7] = math.nan
    return value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, value: value * math.nan, "no finite numbers"),
        (lambda name, value: value * math.nan if "norm" in name else value, "no finite numbers"),
        (lambda name, value: torch.full_like(value, math.inf), "no finite numbers"),
        (lambda name, value: value + math.inf if "mlp.down_proj" in name else value, "no finite numbers"),
        (one_logit_of_nan, "no finite numbers"),
        (lambda name, value: torch.zeros_like(value), "the same for every token"),
        (lambda name, value: torch.zeros_like(value) if "embed_tokens" in name else value, "the same for every token"),
        (lambda name, value: torch.full_like(value, 0.01), "the same for every token"),
    ],
    ids=[
        "all NaN",
        "NaN in the norms",
        "all infinite",
        "infinite in one layer",
        "one row NaN",
        "all zero",
        "head zero",
        "all one value",
    ],
)
def test_weights_that_hold_no_model_are_refused_before_any_sample(tmp_path, tiny_qwen2_5_vl, change, said):
    with pytest.raises(CheckpointError, match=f"holds no working model.*{said}"):
        SatoriHF(str(weights_changed(tiny_qwen2_5_vl, tmp_path, change)), device="cpu")


@pytest.mark.parametrize("why_batches", [None, "asked in batches"])
def test_logits_that_break_on_one_sample_cost_that_sample(loaded, three, recorder, monkeypatch, why_batches):
    model = loaded("tiny_qwen2_5_vl")
    monkeypatch.setattr(model, "why_batches", why_batches)
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    three.questions[1] = "triangle triangle"
    marked = model._inputs.tokenizer("triangle").input_ids[-1]
    assert marked not in model._inputs.tokenizer(three.questions[0] + three.questions[2]).input_ids
    model.recorder = recorder

    def overflowing(_module, arguments, output):
        broken = (arguments[0] == marked).any(dim=-1)
        return torch.where(broken[:, None, None], math.nan, output)

    hook = model.module.get_input_embeddings().register_forward_hook(overflowing)
    try:
        texts = [result.text for result in three.ask(model, max_new_tokens=8)]
    finally:
        hook.remove()

    assert [whole[0], "", whole[2]] == texts
    assert "no finite numbers" in recorder.kept[three.task, 1].error


def test_a_sample_that_the_processor_refuses_costs_itself_only(loaded, three, recorder, monkeypatch):
    model = loaded("tiny_qwen2_5_vl")
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    make_inputs = model.model_inputs

    def refusing(prompts):
        if any(prompt.doc_id == 1 for prompt in prompts):
            raise ValueError("absolute aspect ratio must be smaller than 200, got 201.0")
        return make_inputs(prompts)

    monkeypatch.setattr(model, "model_inputs", refusing)
    model.recorder = recorder

    texts = [result.text for result in three.ask(model, max_new_tokens=8)]

    assert [whole[0], "", whole[2]] == texts
    assert recorder.kept[three.task, 1].error == (
        "ValueError: absolute aspect ratio must be smaller than 200, got 201.0"
    )


def test_a_strip_that_glm_refuses_costs_itself_only(tiny_glm4v, three, recorder):
    model = SatoriHF(str(tiny_glm4v), device="cpu", batch_size=3)
    whole = [result.text for result in three.ask(model, max_new_tokens=8)]
    three.images[1].image = Image.new("RGB", (10, 2010))
    model.recorder = recorder

    texts = [result.text for result in three.ask(model, max_new_tokens=8)]

    assert [whole[0], "", whole[2]] == texts
    assert "aspect ratio" in recorder.kept[three.task, 1].error


def test_a_lost_device_ends_the_run(loaded, three, recorder, monkeypatch):
    def lost(prompts):
        raise RuntimeError("CUDA error: device-side assert triggered\nCompile with ...")

    model = loaded("tiny_qwen2_5_vl")
    monkeypatch.setattr(model, "model_inputs", lost)
    model.recorder = recorder

    with pytest.raises(IncompleteError, match=r"the device gave up .*the same command goes on"):
        three.ask(model, max_new_tokens=8)

    assert recorder.kept == {}


def test_a_processor_of_another_model_is_refused_before_the_weights(tmp_path, tiny_qwen2_5_vl, monkeypatch):
    for file in tiny_qwen2_5_vl.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "chat_template.jinja").write_text(
        "{% for m in messages %}{% for p in m.content %}"
        "{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}"
    )
    monkeypatch.setattr("harness.models.hf._load_model", lambda *_, **__: pytest.fail("the weights were read"))

    with pytest.raises(CheckpointError, match="cannot be asked about pictures: its processor makes no input"):
        SatoriHF(str(tmp_path), device="cpu")


def test_attention_is_left_to_transformers_and_can_be_given(tiny_qwen2_5_vl, three):
    texts = {}
    for attention in (None, "eager", "sdpa"):
        model = SatoriHF(str(tiny_qwen2_5_vl), device="cpu", batch_size=3, attn_implementation=attention)
        texts[model._model.config._attn_implementation] = [r.text for r in three.ask(model, max_new_tokens=8)]

    assert set(texts) == {"eager", "sdpa"}
    assert texts["eager"] == texts["sdpa"]


def test_a_family_without_sdpa_is_loaded(tiny_paligemma, three):
    model = SatoriHF(str(tiny_paligemma), device="cpu", batch_size=3)

    assert len(three.ask(model, max_new_tokens=2)) == 3


# The base class, through a backend that generates nothing.


class Fake(RecordingModel):
    """Says how large its batches were; runs out of memory above a limit; refuses some documents."""

    def __init__(self, fits: int = 99, refused=(), **options) -> None:
        super().__init__(**options)
        self.fits = fits
        self.refused = set(refused)
        self.batches: list[list[int]] = []

    def generate_batch(self, prompts) -> list[Generation]:
        if len(prompts) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        asked = [prompt.doc_id for prompt in prompts]
        if found := self.refused & set(asked):
            raise ValueError(f"document {min(found)} is refused")
        self.batches.append(asked)
        return [Generation(text=f"answer {prompt.doc_id}") for prompt in prompts]

    def refusal(self, error) -> str | None:
        return str(error) if isinstance(error, ValueError) else None


def asked_of(three, sizes):
    """Documents with blank images of these sizes."""
    three.images = [Image.new("RGB", size) for size in sizes]
    three.questions = ["?"] * len(sizes)
    return three


def test_auto_batches_halve_when_memory_runs_out_and_stay_small(three, recorder):
    model = Fake(fits=2, batch_size="auto")
    model.recorder = recorder
    asked_of(three, [(8, 8)] * 20)

    results = three.ask(model)

    assert [f"answer {i}" for i in range(20)] == [result.text for result in results]
    assert {2} == {len(batch) for batch in model.batches}
    assert model.batch_size == 2
    assert len(recorder.kept) == 20


@dataclass
class Hashed:
    """An image handle that knows its hash, or cannot be read."""

    sha256_or_fault: str | Exception

    @property
    def sha256(self) -> str:
        if isinstance(self.sha256_or_fault, Exception):
            raise self.sha256_or_fault
        return self.sha256_or_fault

    def open(self) -> Image.Image:
        if isinstance(self.sha256_or_fault, Exception):
            raise self.sha256_or_fault
        return Image.new("RGB", (8, 8))


def test_questions_about_one_picture_are_asked_one_after_the_other(three, recorder):
    model = Fake(batch_size=2)
    model.recorder = recorder
    # the first 64 questions wait for no hash of those after them
    pictures = [*(f"early picture {n}" for n in range(64)), *(f"picture {n % 100}" for n in range(200))]
    pictures[263] = UnreadablePictureError("the image cannot be read")
    three.images = [Hashed(picture) for picture in pictures]
    three.questions = ["?"] * 264

    results = three.ask(model)

    assert [result.text for result in results] == [*(f"answer {n}" for n in range(263)), ""]
    assert model.batches == [
        *([n, n + 1] for n in range(0, 64, 2)), *([n, n + 100] for n in range(64, 163)), [163],
    ]  # fmt: skip


def test_decoded_pictures_are_asked_in_their_order(three):
    model = Fake(batch_size=4)

    asked_of(three, [(8, 8)] * 9).ask(model)

    assert model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_a_single_sample_that_does_not_fit_says_what_to_do(three):
    with pytest.raises(ConfigError, match=r"single sample.*--max-pixels"):
        asked_of(three, [(8, 8)] * 3).ask(Fake(fits=0, batch_size=4))


@pytest.mark.parametrize("refused", [{0}, {7}, {3, 4}, {0, 1, 2, 3}, {1, 3, 5, 7, 9}, set(range(1, 10))])
def test_refused_samples_are_found_in_their_batches_and_cost_nothing_else(three, recorder, refused):
    model = Fake(refused=refused, batch_size=4)
    model.recorder = recorder

    results = asked_of(three, [(8, 8)] * 10).ask(model)

    assert ["" if i in refused else f"answer {i}" for i in range(10)] == [result.text for result in results]
    assert {i: f"document {i} is refused" for i in refused} == {
        doc: kept.error for (_, doc), kept in recorder.kept.items() if kept.error
    }
    assert model.batch_size == 4, "what is refused says nothing about memory"


def test_refusals_and_memory_can_run_out_together(three, recorder):
    model = Fake(fits=2, refused={2, 5}, batch_size=8)
    model.recorder = recorder

    results = asked_of(three, [(8, 8)] * 16).ask(model)

    assert {2, 5} == {i for i, result in enumerate(results) if result.text == ""}
    assert len(recorder.kept) == 16


def test_a_refusal_of_every_sample_ends_the_run_with_its_reason(three, recorder):
    model = Fake(refused=range(200), batch_size=8)
    model.recorder = recorder

    with pytest.raises(ConfigError, match=r"every sample is refused for the same reason .*document . is refused"):
        asked_of(three, [(8, 8)] * 200).ask(model)

    assert 64 <= len(recorder.kept) < 80, "a window, not the whole benchmark"


def test_a_benchmark_smaller_than_a_window_ends_alike(three):
    with pytest.raises(ConfigError, match=r"every sample is refused for the same reason .3 asked, none answered"):
        asked_of(three, [(8, 8)] * 3).ask(Fake(refused=range(3), batch_size=2))


def test_a_retry_of_refused_samples_alone_goes_on(three, recorder):
    model = Fake(refused={1}, batch_size=2)
    model.recorder = recorder
    asked_of(three, [(8, 8)] * 3)
    recorder.kept |= {(three.task, doc): Generation(text="from the journal") for doc in (0, 2)}

    results = three.ask(model)

    assert [result.text for result in results] == ["from the journal", "", "from the journal"]


def test_another_error_ends_the_run_with_the_earlier_answers_recorded(three, recorder):
    class Broken(Fake):
        def generate_batch(self, prompts):
            if len(self.batches) == 2:
                raise RuntimeError("device-side assert")
            return super().generate_batch(prompts)

    model = Broken(batch_size=2)
    model.recorder = recorder

    with pytest.raises(RuntimeError, match="device-side assert"):
        asked_of(three, [(8, 8)] * 9).ask(model)

    assert len(recorder.kept) == 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def test_results_come_in_request_order_and_batches_hold_similar_sizes(three):
    model = Fake(batch_size=2)
    asked_of(three, [(10, 10), (90, 90), (11, 10), (91, 90), (50, 50)])

    results = three.ask(model)

    assert [f"answer {i}" for i in range(5)] == [result.text for result in results]
    assert model.batches == [[3, 1], [4, 2], [0]]


def test_no_requests_give_no_results():
    assert Fake().generate_until([]) == []


def test_answered_documents_are_not_asked_again(three, recorder):
    model = Fake(batch_size=2)
    model.recorder = recorder
    recorder.kept[three.task, 1] = Generation(text="from the journal", output_tokens=3)

    results = three.ask(model)

    assert [result.text for result in results] == ["answer 0", "from the journal", "answer 2"]
    assert results[1].token_counts.output_tokens == 3
    assert three.images[1].opened == 0
    assert sorted(doc for batch in model.batches for doc in batch) == [0, 2]


def test_images_are_opened_once_each_and_at_most_one_batch_ahead(three):
    class Watching(Fake):
        def generate_batch(self, prompts):
            opened.append(sum(handle.opened for handle in asked.images))
            return super().generate_batch(prompts)

    opened: list[int] = []
    handle_class = type(three.images[0])
    asked = asked_of(three, [(56, 56)] * 6)
    asked.images = [handle_class(image) for image in asked.images]

    asked.ask(Watching(batch_size=1))

    assert all(batch <= count <= batch + 1 for batch, count in enumerate(opened, start=1))
    assert [handle.opened for handle in asked.images] == [1] * 6


def test_decoded_images_of_a_window_are_not_held_in_memory(three):
    """Documents that decode on access, as those of stock tasks: hardly more than a batch of images is ever alive."""
    import weakref

    class DecodedOnAccess:
        alive = 0

        def __getitem__(self, index):
            image = Image.new("RGB", (64, 64))
            self.alive += 1
            weakref.finalize(image, self.forget)
            return {"image": image, "question": "?"}

        def forget(self):
            self.alive -= 1

    class Watching(Fake):
        def generate_until(self, requests):
            self.task_dict[three.task]["test"] = docs
            return super().generate_until(requests)

        def generate_batch(self, prompts):
            most.append(docs.alive)
            return super().generate_batch(prompts)

    docs = DecodedOnAccess()
    most: list[int] = []
    asked_of(three, [(1, 1)] * 40).ask(Watching(batch_size=4))

    assert len(most) == 10
    assert max(most) <= 2 * 4 + 1, "a batch, the one that is being opened, and one image in between"


def test_requests_decoded_differently_never_share_a_batch(three):
    from lmms_eval.api.instance import Instance

    model = Fake(batch_size=8)
    docs = [{"image": None, "question": "?"}] * 2
    model.task_dict = {"a": {"test": docs}, "b": {"test": docs}}
    requests = [
        Instance("generate_until", ("", three.messages, {"max_new_tokens": budget}, row, task, "test"), 0, metadata)
        for task, budget in (("a", 5), ("b", 6))
        for row in range(2)
        for metadata in [{"task": task, "doc_id": row, "repeats": 1}]
    ]

    model.generate_until(requests)

    assert model.batches == [[0, 1], [0, 1]]


def test_greedy_duplicates_are_asked_once(three):
    model = Fake(batch_size=2)

    results = three.ask(model, repeats=3)

    assert len(results) == 9
    assert sorted(doc for batch in model.batches for doc in batch) == [0, 1, 2]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        None,
        "text",
        [{"role": "user"}],
        [{"content": "x"}],
        ["x"],
        [{"role": "user", "content": [{"type": "video", "url": "a.mp4"}]}],
        [{"role": "user", "content": [{"type": "image", "url": None}]}],
        [{"role": "user", "content": [{"type": "text", "text": None}]}],
    ],
)
def test_messages_of_another_form_are_refused_with_their_place(messages):
    with pytest.raises(ConfigError, match="task t, row 7"):
        read_turns(messages, "task t, row 7")


def test_messages_take_text_paths_handles_and_pictures(photos, tmp_path):
    photos[0].save(tmp_path / "a.png")
    content = [
        {"type": "text", "text": "x"},
        {"type": "image", "url": str(tmp_path / "a.png")},
        {"type": "image", "image": photos[0]},
    ]

    system, user = read_turns([{"role": "system", "content": "s"}, {"role": "user", "content": content}], "here")

    assert system == Turn("system", ("s",))
    assert user.parts == ("x", ImageAtPath(tmp_path / "a.png"), photos[0])
    assert user.parts[1].open().tobytes() == photos[0].tobytes()


def test_likelihoods_and_rounds_are_refused():
    for method in (Fake().loglikelihood, Fake().generate_until_multi_round):
        with pytest.raises(NotImplementedError, match="Fake"):
            method([])


# The replaying model.


def test_replay_answers_from_a_table_or_a_function(three):
    table = {(three.task, row): f"text {row}" for row in range(3)}

    for replies in (table, lambda task, row: table[task, row]):
        results = three.ask(SatoriReplay(replies, batch_size=2))

        assert [result.text for result in results] == ["text 0", "text 1", "text 2"]


def test_replay_opens_images_only_when_asked_to(three, recorder):
    closed = SatoriReplay(lambda task, row: "x", open_images=False)
    three.ask(closed)
    assert [handle.opened for handle in three.images] == [0, 0, 0]

    opening = SatoriReplay(lambda task, row: "x", pixel_limits=PixelLimits(784, 401_408))
    opening.recorder = recorder
    three.ask(opening)

    assert [handle.opened for handle in three.images] == [1, 1, 1]
    assert recorder.kept[three.task, 1].input_size == Size(644, 476)


def test_replay_prompts_are_ready_for_a_backend(three):
    seen: list[Prompt] = []

    class Keeping(SatoriReplay):
        def generate_batch(self, prompts):
            seen.extend(prompts)
            return super().generate_batch(prompts)

    three.images[0].image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    three.ask(Keeping(lambda task, row: "x", batch_size=1))

    assert {"RGB"} == {image.mode for prompt in seen for image in prompt.images}
    assert seen[0].images[0].getpixel((0, 0)) == (255, 255, 255), "what is transparent is white"
    assert (
        hashlib.sha256(three.images[1].image.tobytes()).digest() == hashlib.sha256(seen[1].images[0].tobytes()).digest()
    )


@pytest.mark.parametrize("family", ["tiny_qwen3_vl", "tiny_llava", "tiny_idefics3", "tiny_glm4v", "tiny_paligemma"])
def test_a_question_without_a_picture_is_asked_or_refused_with_the_mend(family, request):
    model = SatoriHF(str(request.getfixturevalue(family)), device="cpu", batch_size=1)
    prompt = Prompt("t", 0, 0, (Turn("user", ("Which colour?",)),), Decoding(max_new_tokens=2))

    if family == "tiny_paligemma":
        with pytest.raises(ValueError, match="needs --blind grey") as fault:
            model.generate_batch([prompt])
        assert "needs --blind grey" in model.refusal(fault.value)  # such a sample alone is null, a run of them ends
    else:
        assert model.generate_batch([prompt])[0].input_size is None
