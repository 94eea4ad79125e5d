"""Put the questions of a probe to a model, as one list, and weigh the run's answers in what it wrote."""

# lmms-eval has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from lmms_eval.api.instance import Instance

from harness.models.answer_probability import AnswerAfter, answer_log_probabilities
from harness.models.base import Prompt, RecordingModel, is_out_of_memory, read_turns
from harness.models.decoding import Decoding
from harness.models.hf import SatoriHF
from harness.models.written_tokens import tokens_of_spans
from harness.scoring.read_text import spans_of_text
from harness.values import AnyFormat, Generation, Record
from tasks.asked_again import AskedRun
from tasks.probe_requests import Request, chat_of
from tasks.probe_work import Answered, ProbeWork
from tasks.run_spec import RunEnvironment

if TYPE_CHECKING:
    from PIL.Image import Image

_SPLIT = "probe"
"""What lmms-eval calls a part of a benchmark; ours has one."""
_WEIGHED_AT_ONCE = 8
"""Answers of one forward."""


class _ProbeRecorder:
    """Keeps what comes of each request."""

    def __init__(self, requests: Sequence[Request], work: ProbeWork, environment: RunEnvironment) -> None:
        self._requests = requests
        self._work = work
        self._listener = environment.listener

    def lookup(self, task: str, doc_id: int) -> Generation | None:  # noqa: ARG002 - the protocol
        """Return nothing: what has been answered is not asked."""
        return None

    def record(self, task: str, doc_id: int, generation: Generation, images: Sequence[Image] = ()) -> None:  # noqa: ARG002 - the protocol
        """Keep an answer."""
        request = self._requests[doc_id]
        self._work.add(
            [
                Answered(
                    key=request.key,
                    text=generation.text,
                    error=generation.error,
                    truncated=generation.truncated,
                    output_ids=generation.output_ids,
                )
            ]
        )
        self._listener.sample_recorded(request.asked.sample.record)


def ask_all(
    model: RecordingModel, run: AskedRun, requests: Sequence[Request], work: ProbeWork, environment: RunEnvironment
) -> None:
    """Ask what is not answered yet, greedily and in batches of one size, as the run was asked."""
    todo = [request for request in requests if request.key not in work.answered]
    if not todo:
        return
    name = "probe"
    model.batch_guard = environment.batch_guard
    model.recorder = _ProbeRecorder(todo, work, environment)
    model.task_dict = {name: {_SPLIT: todo}}

    def chat(doc: object) -> object:
        assert isinstance(doc, Request), "that is what the task is made of"
        return chat_of(run, doc)

    environment.listener.task_started("probe", len(requests), len(requests) - len(todo))
    model.generate_until([_instance(run, request, number, name, chat) for number, request in enumerate(todo)])
    environment.listener.task_finished("probe")


def _instance(run: AskedRun, request: Request, number: int, name: str, chat: object) -> Instance:
    budget = run.spec.max_new_tokens or request.asked.sample.benchmark.max_new_tokens
    arguments = {"max_new_tokens": budget, "temperature": 0.0, "do_sample": False, "until": []}
    metadata: dict[str, str | int] = {"task": name, "doc_id": number, "repeats": 1}
    return Instance("generate_until", ("", chat, arguments, number, name, _SPLIT), number, metadata)


def weigh_all(model: SatoriHF, run: AskedRun, requests: Sequence[Request], work: ProbeWork) -> None:
    """Find the probability of the run's answer after each text that was written anew, up to its answer."""
    todo = [request for request in requests if not work.answered[request.key].is_scored]
    batch = _WEIGHED_AT_ONCE
    originals: dict[tuple[str, str, int], tuple[int, ...] | None] = {}
    while todo:
        part = todo[:batch]
        weighed: list[tuple[Request, AnswerAfter]] = []
        for request in part:
            record = request.asked.sample.record
            if record.key not in originals:
                originals[record.key] = _original_ids(model, record, run.spec.form)
            found = _answer_after(model, run, request, work.answered[request.key], originals[record.key])
            if found is not None:
                weighed.append((request, found))
        try:
            logs = answer_log_probabilities(model, [answer for _, answer in weighed]) if weighed else []
        except Exception as error:
            if not is_out_of_memory(error) or batch == 1:
                raise
            logs = None
        if logs is None:  # outside of the handler, so that the error no longer holds the batch's tensors
            model.release_memory()
            batch //= 2
            continue
        by_key = {request.key: log for (request, _), log in zip(weighed, logs, strict=True) if isfinite(log)}
        work.add([_with_log(work.answered[request.key], by_key.get(request.key)) for request in part])
        del todo[: len(part)]


def _with_log(answered: Answered, log: float | None) -> Answered:
    return Answered(
        key=answered.key,
        text=answered.text,
        error=answered.error,
        truncated=answered.truncated,
        output_ids=answered.output_ids,
        logp_original=None if log is None else min(log, 0.0),
        is_scored=True,
    )


def _original_ids(model: SatoriHF, record: Record, form: AnyFormat) -> tuple[int, ...] | None:
    """Return the tokens of the run's answer with the one that ends it; None where nothing marks it."""
    text = record.generation.text
    span = spans_of_text(text, form).answer
    if span is None or span[0] >= span[1]:
        return None
    ids = record.generation.output_ids
    if ids is None or not model.text_of(ids).startswith(text):
        ids = tuple(model.ids_of(text))
    (tokens,) = tokens_of_spans(ids, [span], model.text_of)
    return tuple(ids[tokens.start : tokens.stop + 1]) or None


def _answer_after(
    model: SatoriHF, run: AskedRun, request: Request, answered: Answered, original: tuple[int, ...] | None
) -> AnswerAfter | None:
    """Return what is weighed of a text; None where nothing marks where its answer begins."""
    span = spans_of_text(answered.text, run.spec.form).answer if answered.error is None else None
    if span is None or original is None:
        return None
    record = request.asked.sample.record
    turns = model.opened(read_turns(chat_of(run, request), f"{record.sample.task} {record.sample.id}"))
    prompt = Prompt(record.sample.task, 0, 0, turns, Decoding(max_new_tokens=1))
    return AnswerAfter(prompt, before_ids(model, answered.text, answered.output_ids, span[0]), original)


def before_ids(model: SatoriHF, text: str, output_ids: Sequence[int] | None, begin: int) -> tuple[int, ...]:
    """Return the tokens of a text before a character: those that were drawn, where one of them begins there."""
    ids = output_ids or ()
    if begin < len(text) and model.text_of(ids).startswith(text):
        (tokens,) = tokens_of_spans(ids, [(begin, begin + 1)], model.text_of)
        if model.text_of(ids[: tokens.start]) == text[:begin]:
            return tuple(ids[: tokens.start])
    return tuple(model.ids_of(text[:begin]))
