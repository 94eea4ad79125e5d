"""Put the questions of a probe to a model, as one list, and weigh the run's answers in what it wrote."""

# lmms-eval has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

import msgspec
from lmms_eval.api.instance import Instance

from harness.models.answer_probability import AnswerAfter, WeighingModel, answer_log_probabilities
from harness.models.base import Prompt, RecordingModel, Turn, is_out_of_memory, read_turns
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

_NAME = _SPLIT = "probe"
"""What lmms-eval calls a task, and a part of it; ours is one."""
_WEIGHED_AT_ONCE = 8
"""Answers of one forward."""
_STREAMED_AT_ONCE = 64
"""Answers whose pictures are open at once, where each is weighed by a request."""


class AnswerScale:
    """Weighs the run's answers, a batch at a time, while the model still knows what it made of the pictures.

    A model that weighs by requests of its own has all answers first: those would come in among the questions.
    """

    def __init__(self, model: RecordingModel, run: AskedRun, work: ProbeWork) -> None:
        """Begin with nothing to weigh."""
        assert isinstance(model, SatoriHF | WeighingModel), "no other weighs"
        self._model = model
        self._open = model.opened
        self._release_memory = model.release_memory
        self._weighs_between = isinstance(model, SatoriHF)
        self._run = run
        self._work = work
        self._most = _WEIGHED_AT_ONCE if self._weighs_between else _STREAMED_AT_ONCE
        self._waiting: list[tuple[Request, Sequence[Image] | None]] = []
        self._originals: dict[tuple[str, str, int], tuple[int, ...] | None] = {}

    def put(self, request: Request, images: Sequence[Image] | None) -> None:
        """Take a request that is answered, with its picture as the model saw it; None: it is opened again."""
        self._waiting.append((request, images if self._weighs_between else None))
        if self._weighs_between and len(self._waiting) >= self._most:
            self.weigh()

    def weigh(self) -> None:
        """Weigh what waits."""
        while self._waiting:
            part = self._waiting[: self._most]
            found = [(request, self._answer_after(request, images)) for request, images in part]
            weighed = [(request, answer) for request, answer in found if answer is not None]
            logs = self._logs([answer for _, answer in weighed])
            if logs is None:
                continue  # fewer at once
            by_key = {request.key: log for (request, _), log in zip(weighed, logs, strict=True) if isfinite(log)}
            self._work.add([_with_log(self._work.answered[one.key], by_key.get(one.key)) for one, _ in part])
            del self._waiting[: len(part)]

    def _logs(self, answers: Sequence[AnswerAfter]) -> list[float] | None:
        """Return what answers weigh; None where memory ran out, and fewer are weighed from now on."""
        if not answers:
            return []
        try:
            if isinstance(self._model, SatoriHF):
                return answer_log_probabilities(self._model, answers)
            return self._model.weigh(answers)
        except Exception as error:
            if not is_out_of_memory(error) or self._most == 1:
                raise
        # Outside of the handler, so that the error no longer holds the batch's tensors.
        self._release_memory()
        self._most //= 2
        return None

    def _answer_after(self, request: Request, images: Sequence[Image] | None) -> AnswerAfter | None:
        """Return what is weighed of a text; None where nothing marks where its answer begins."""
        answered, record = self._work.answered[request.key], request.asked.sample.record
        if record.key not in self._originals:
            self._originals[record.key] = _original_ids(self._model, record, self._run.spec.form)
        original = self._originals[record.key]
        span = spans_of_text(answered.text, self._run.spec.form).answer if answered.error is None else None
        if span is None or original is None:
            return None
        turns = read_turns(chat_of(self._run, request), f"{record.sample.task} {record.sample.id}")
        turns = self._open(turns) if images is None else _showing(turns, images)
        prompt = Prompt(record.sample.task, 0, 0, turns, Decoding(max_new_tokens=1))
        before = before_ids(self._model, answered.text, answered.output_ids, span[0])
        # made of a text anew, a token may stand for a picture that is not there
        if self._model.suppressed_ids & {*before, *original}:
            return None
        return AnswerAfter(prompt, before, original)


class _ProbeRecorder:
    """Keeps what comes of each request."""

    def __init__(
        self, requests: Sequence[Request], work: ProbeWork, environment: RunEnvironment, scale: AnswerScale | None
    ) -> None:
        self._requests = requests
        self._work = work
        self._listener = environment.listener
        self._scale = scale

    def lookup(self, task: str, doc_id: int) -> Generation | None:
        """Return nothing: what has been answered is not asked."""
        del task, doc_id
        return None

    def record(self, task: str, doc_id: int, generation: Generation, images: Sequence[Image] = ()) -> None:
        """Keep an answer."""
        del task
        request = self._requests[doc_id]
        answered = Answered(
            key=request.key,
            text=generation.text,
            error=generation.error,
            truncated=generation.truncated,
            output_ids=generation.output_ids,
        )
        self._work.add([answered])
        if self._scale is not None:
            self._scale.put(request, images)
        self._listener.sample_recorded(request.asked.sample.record)


def ask_all(
    model: RecordingModel,
    run: AskedRun,
    requests: Sequence[Request],
    work: ProbeWork,
    environment: RunEnvironment,
    *,
    with_p: bool,
) -> None:
    """Ask what is not answered yet, greedily, in batches of one size, in the words of the run.

    Args:
        model: The run's.
        run: The run.
        requests: All that is asked, in the order in which it is.
        work: Where answers are kept.
        environment: Shows progress.
        with_p: Whether the run's answers are weighed too; what an earlier start answered and did not weigh as well.
    """
    scale = None
    if with_p:
        scale = AnswerScale(model, run, work)
        for request in requests:
            if request.key in work.answered:
                scale.put(request, None)
        scale.weigh()
    todo = [request for request in requests if request.key not in work.answered]
    if not todo:
        return
    model.batch_guard = environment.batch_guard
    model.recorder = _ProbeRecorder(todo, work, environment, scale)
    model.task_dict = {_NAME: {_SPLIT: todo}}

    def chat(doc: object) -> object:
        assert isinstance(doc, Request), "that is what the task is made of"
        return chat_of(run, doc)

    environment.listener.task_started(_NAME, len(todo), 0)  # what was answered before is told already
    model.generate_until([_instance(run, request, number, chat) for number, request in enumerate(todo)])
    if scale is not None:
        scale.weigh()
    environment.listener.task_finished(_NAME)


def _instance(run: AskedRun, request: Request, number: int, chat: object) -> Instance:
    budget = run.spec.max_new_tokens or request.asked.sample.benchmark.max_new_tokens
    arguments = {"max_new_tokens": budget, "temperature": 0.0, "do_sample": False, "until": []}
    metadata: dict[str, str | int] = {"task": _NAME, "doc_id": number, "repeats": 1}
    return Instance("generate_until", ("", chat, arguments, number, _NAME, _SPLIT), number, metadata)


def _showing(turns: Sequence[Turn], images: Sequence[Image]) -> tuple[Turn, ...]:
    """Return a chat with opened pictures in the places of those that are not."""
    left = iter(images)
    return tuple(
        Turn(turn.role, tuple(part if isinstance(part, str) else next(left) for part in turn.parts)) for turn in turns
    )


def _with_log(answered: Answered, log: float | None) -> Answered:
    return msgspec.structs.replace(answered, logp_original=None if log is None else min(log, 0.0), is_scored=True)


def _original_ids(model: SatoriHF | WeighingModel, record: Record, form: AnyFormat) -> tuple[int, ...] | None:
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


def before_ids(
    model: SatoriHF | WeighingModel, text: str, output_ids: Sequence[int] | None, begin: int
) -> tuple[int, ...]:
    """Return the tokens of a text before a character: those that were drawn, where one of them begins there."""
    ids = output_ids or ()
    if begin < len(text) and model.text_of(ids).startswith(text):
        (tokens,) = tokens_of_spans(ids, [(begin, begin + 1)], model.text_of)
        if model.text_of(ids[: tokens.start]) == text[:begin]:
            return tuple(ids[: tokens.start])
    return tuple(model.ids_of(text[:begin]))
