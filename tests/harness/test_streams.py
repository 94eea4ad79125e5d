"""Prompts that are answered as a stream: each recorded as it ends, by a backend that generates nothing."""

from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from harness.errors import ConfigError
from harness.models.base import Prompt, RecordingModel, Turn
from harness.values import Generation


class Streaming(RecordingModel):
    """Holds as many prompts as it may; a row's document number, from its end, says in which order rows end."""

    is_continuous = True

    def __init__(self, fits: int = 99, refused=(), raising=(), **options) -> None:
        super().__init__(**options)
        self.fits = fits
        self.refused, self.raising = set(refused), set(raising)
        self.ends: list[int] = []
        self.most_in_flight = 0
        self.streams: list[set[object]] = []

    def generate_batch(self, prompts) -> list[Generation]:
        raise AssertionError("a stream is asked for no batch")

    def answer_stream(self, prompts: Iterator[Prompt]) -> Iterator[tuple[Prompt, Generation | Exception]]:
        rows: list[Prompt] = []
        self.streams.append(set())
        while True:
            while len(rows) < self.batch_size and (prompt := next(prompts, None)) is not None:
                rows.append(prompt)
                self.streams[-1].add(prompt.decoding)
            if not rows:
                return
            self.most_in_flight = max(self.most_in_flight, len(rows))
            if len(rows) > self.fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            if found := self.raising & {row.doc_id for row in rows}:
                raise ValueError(f"document {min(found)} breaks a step")
            row = rows.pop(len(rows) // 2)  # some end before others that were taken earlier
            self.ends.append(row.doc_id)
            refused = row.doc_id in self.refused
            yield (
                row,
                ValueError(f"document {row.doc_id} is refused") if refused else Generation(f"answer {row.doc_id}"),
            )

    def refusal(self, error) -> str | None:
        return str(error) if isinstance(error, ValueError) else None


def documents(three, count: int):
    three.images = [Image.new("RGB", (8, 8))] * count
    three.questions = ["?"] * count
    return three


def test_rows_are_recorded_as_they_end_and_results_come_in_request_order(three, recorder):
    model = Streaming(batch_size=4)
    model.recorder = recorder

    results = documents(three, 20).ask(model)

    assert [f"answer {n}" for n in range(20)] == [result.text for result in results]
    assert [doc for _, doc in recorder.kept] == model.ends != sorted(model.ends)
    assert model.most_in_flight == 4
    assert recorder.kept[three.task, 0].prompt == "[system] Answer in one word.\n[user] <image>?"


@pytest.mark.parametrize(("fits", "batch_size", "left"), [(2, 8, 2), (3, 8, 2), (1, 64, 1), (5, 5, 5)])
def test_rows_are_fewer_after_memory_ran_out_and_none_is_lost(three, recorder, fits, batch_size, left):
    model = Streaming(fits=fits, batch_size=batch_size)
    model.recorder = recorder

    results = documents(three, 20).ask(model)

    assert [f"answer {n}" for n in range(20)] == [result.text for result in results]
    assert model.batch_size == left


def test_memory_that_does_not_do_for_one_sample_says_what_to_do(three):
    with pytest.raises(ConfigError, match=r"single sample.*--max-pixels"):
        documents(three, 3).ask(Streaming(fits=0, batch_size=4))


@pytest.mark.parametrize(
    ("refused", "raising"), [({0}, ()), ({3, 4, 19}, ()), ((), {7}), ((), {2, 3, 18}), ({1, 8}, {8, 9})]
)
def test_refused_rows_cost_nothing_else(three, recorder, refused, raising):
    model = Streaming(refused=refused, raising=raising, batch_size=4)
    model.recorder = recorder

    results = documents(three, 20).ask(model)

    lost = set(refused) | set(raising)
    assert ["" if n in lost else f"answer {n}" for n in range(20)] == [result.text for result in results]
    assert {doc for (_, doc), kept in recorder.kept.items() if kept.error} == lost
    assert model.batch_size == 4, "what is refused says nothing about memory"


def test_a_refusal_of_every_row_ends_the_run_after_a_window(three, recorder):
    model = Streaming(refused=range(200), batch_size=8)
    model.recorder = recorder

    with pytest.raises(ConfigError, match=r"every sample is refused for the same reason"):
        documents(three, 200).ask(model)

    assert 64 <= len(recorder.kept) < 80


def test_another_error_ends_the_run_with_what_ended_before_it(three, recorder):
    class Broken(Streaming):
        def answer_stream(self, prompts):
            for place, pair in enumerate(super().answer_stream(prompts)):
                if place == 5:
                    raise RuntimeError("device-side assert")
                yield pair

    model = Broken(batch_size=4)
    model.recorder = recorder

    with pytest.raises(RuntimeError, match="device-side assert"):
        documents(three, 20).ask(model)

    assert len(recorder.kept) == 5


def test_a_task_that_cannot_be_asked_ends_the_run_though_backends_would_excuse_its_error(three, recorder):
    def messages(doc):
        if doc["question"] == "broken":
            raise ValueError("the task has no such field")
        return type(three).messages(three, doc)

    model = Streaming(batch_size=4)
    model.recorder = recorder
    documents(three, 200).questions[150] = "broken"
    three.messages = messages

    with pytest.raises(ValueError, match="no such field"):
        three.ask(model)

    assert 0 < len(recorder.kept) < 150


def test_an_error_of_the_recorder_is_nobodys_refusal(three):
    class Full:
        def lookup(self, task, doc_id):
            return None

        def record(self, task, doc_id, generation, images):
            raise ValueError("no space left on device")

    model = Streaming(batch_size=4)
    model.recorder = Full()

    with pytest.raises(ValueError, match="no space left"):
        documents(three, 20).ask(model)

    assert len(model.ends) == 1


def test_a_backend_that_leaves_prompts_unanswered_is_found_out(three):
    class Forgetful(Streaming):
        def answer_stream(self, prompts):
            next(prompts)
            yield from ()

    with pytest.raises(RuntimeError, match="not answered"):
        documents(three, 3).ask(Forgetful())


def test_pictures_are_opened_once_each_and_a_bounded_number_ahead(three, recorder):
    class Watching(Streaming):
        def answer_stream(self, prompts):
            for pair in super().answer_stream(prompts):
                ahead.append(sum(handle.opened for handle in asked.images) - len(self.ends))
                yield pair

    ahead: list[int] = []
    handle_class = type(three.images[0])
    asked = documents(three, 40)
    asked.images = [handle_class(None if n in (3, 39) else image) for n, image in enumerate(asked.images)]
    model = Watching(batch_size=4)
    model.recorder = recorder

    asked.ask(model)

    assert [handle.opened for handle in asked.images] == [1] * 40
    assert max(ahead) <= 2 * 4, "those in flight, and as many again"
    assert [doc for (_, doc), kept in recorder.kept.items() if kept.error] == [3, 39]


def test_requests_decoded_differently_never_share_a_stream(three):
    from lmms_eval.api.instance import Instance

    model = Streaming(batch_size=4)
    documents(three, 6).ask(model)  # sets the documents
    requests = [
        Instance(
            request_type="generate_until",
            arguments=("", three.messages, {"max_new_tokens": tokens}, doc_id, three.task, "test"),
            idx=0,
            metadata={"task": three.task, "doc_id": doc_id, "repeats": 1},
        )
        for doc_id, tokens in enumerate([1, 1, 2, 2, 2, 1])
    ]
    model.streams.clear()

    model.generate_until(requests)

    assert [{decoding.max_new_tokens for decoding in stream} for stream in model.streams] == [{1}, {2}, {1}]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_tool_asks_on_before_all_others_and_says_what_is_recorded(three, recorder, streamed):
    class Either(Streaming):
        is_continuous = streamed

        def generate_batch(self, prompts):
            return [Generation(f"answer {prompt.doc_id}") for prompt in prompts]

    def tool(prompt: Prompt, generation: Generation) -> Prompt | Generation:
        asked.append((prompt.doc_id, len(prompt.turns)))
        if len(prompt.turns) < 4:  # two turns at first; two questions about each
            turns = (*prompt.turns, Turn("assistant", (generation.text,)), Turn("user", ("And?",)))
            return Prompt(prompt.task, prompt.doc_id, prompt.repeat, turns, prompt.decoding)
        return Generation(f"{generation.text} in the end")

    asked: list[tuple[int, int]] = []
    model = Either(batch_size=2)
    model.recorder, model.tool = recorder, tool

    results = documents(three, 5).ask(model)

    assert [result.text for result in results] == [f"answer {n} in the end" for n in range(5)]
    assert sorted(asked) == [(n, turns) for n in range(5) for turns in (2, 4)]
    open_at_once = [sum(2 * (turns == 2) - 1 for _, turns in asked[:n]) for n in range(11)]
    assert max(open_at_once) <= 2, "no third row is begun before one of two was asked to its end"
    assert recorder.kept[three.task, 4].prompt.count("And?") == 1
