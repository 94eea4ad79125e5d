"""Find the question of each answer in another program's log: in the benchmark's own data, or in the log itself.

A log says less than a benchmark: lmms-eval's has a row's number and the printed target, VLMEvalKit's the columns of
its table, Inspect's options and target. Where the benchmark's data are given, questions, options, gold, pictures and
clusters are theirs, and what the log says is only held against them: a log of other rows is refused, never scored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from harness.errors import ConfigError
from harness.imports.foreign import TITLES, ForeignAnswer, ForeignLogError, ForeignTask, Tool
from harness.imports.imported_run import Matched
from harness.models.peer_names import task_hint, tasks_meant
from harness.values import AnswerRule, Json, Sample
from tasks.benchmark import Benchmark
from tasks.catalog import BENCHMARKS
from tasks.cells import ROW, CellError
from tasks.local_data import TaskData, missing_columns, without_image

MOST_UNLIKE: Final = 0.01
"""With more than this share of rows that are not those of the data, the log is of other data."""

_SHOWN: Final = 3
_COMPARED_CHARACTERS: Final = 20
_SENTENCE_END: Final = re.compile(r"[?.!:]")
"""A question's beginning, to its first such mark, is looked for in a prompt: what follows is often worded anew."""

_OWN_GOLD: Final = (
    "gold and questions are the log's own; which questions share a picture is not known, so that intervals may be too "
    "narrow: give the benchmark's data to know"
)

_READ_FROM_LOG: Final[frozenset[AnswerRule]] = frozenset({"choice", "yes_no", "short", "relaxed", "anls", "accepted"})
"""Kinds of answers whose gold is whole in a log that has options and accepted answers, and needs no official column."""


def benchmark_named(tool: Tool, name: str, chosen: Mapping[str, str]) -> Benchmark:
    """Return the benchmark that another program's name stands for.

    Args:
        tool: The program.
        name: Its name of the benchmark.
        chosen: What a person said of names, by `--task THEIRS=OURS`.

    Raises:
        ForeignLogError: It is none of ours, or may be several.
    """
    if name in chosen:
        found = BENCHMARKS.get(chosen[name])
        if found is None:
            raise ConfigError(
                f"--task {name}={chosen[name]}: there is no such task{task_hint(chosen[name], BENCHMARKS)}"
            )
        return found
    own = name.rpartition("/")[2]
    meant = tasks_meant(own, BENCHMARKS)
    if len(meant) != 1:
        hint = task_hint(own, BENCHMARKS)
        raise ForeignLogError(f"{TITLES[tool]}'s {name!r} is no task here{hint} Say which with --task {name}=OURS")
    return BENCHMARKS[meant[0]]


def match_task(tool: Tool, task: ForeignTask, benchmark: Benchmark, data: TaskData | None) -> Matched:
    """Find the questions of a benchmark's answers.

    Args:
        tool: The program.
        task: What its log says.
        benchmark: What it is here.
        data: The benchmark's rows; None leaves gold and questions to the log, which lmms-eval's do not hold.

    Raises:
        ForeignLogError: The log does not hold them, or is of other rows than the data.
    """
    if data is not None:
        return _Joined(tool, task, benchmark, data).matched()
    if tool == "lmms-eval":
        raise ForeignLogError("lmms-eval's log holds neither options nor accepted answers: give the benchmark's data")
    read = _from_table if tool == "vlmevalkit" else _from_inspect
    samples, faults = _each(task, lambda answer: read(benchmark, answer))
    if not samples:
        raise ForeignLogError(
            f"no question of it can be read: {next(iter(faults.values()))}. Give the benchmark's data"
        )
    rows, notes = benchmark.rows_expected or task.rows, [_OWN_GOLD]
    if task.rows > rows:
        notes.append(
            f"it has {task.rows:,} questions, and the benchmark {rows:,}: some are of other data. Give the benchmark's "
            "data to tell them apart, or --task THEIRS=OURS if another benchmark is meant"
        )
    return Matched(benchmark.name, task, samples, faults, rows, notes=tuple(notes))


def _each(task: ForeignTask, read: Callable[[ForeignAnswer], Sample]) -> tuple[dict[str, Sample], dict[str, str]]:
    """Return the sample of each place, or why it has none."""
    samples: dict[str, Sample] = {}
    faults: dict[str, str] = {}
    for answer in task.answers:
        if answer.place in samples or answer.place in faults:
            continue
        try:
            samples[answer.place] = read(answer)
        except CellError as fault:
            faults[answer.place] = f"the question cannot be read from the log: {fault}"
    twice = len(samples) - len({sample.id for sample in samples.values()})
    if twice:
        raise ForeignLogError(f"{twice} of its questions have the id of another: nobody knows which is meant")
    return samples, faults


# --- by the benchmark's data ----------------------------------------------------------------------------------------


class _Joined:
    """Joins answers with the rows of a benchmark."""

    def __init__(self, tool: Tool, task: ForeignTask, benchmark: Benchmark, data: TaskData) -> None:
        self._tool, self._task, self._benchmark, self._data = tool, task, benchmark, data
        self._samples = {place: benchmark.adapter.sample_of(doc) for place, doc in self._docs()}

    def _docs(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the rows that are asked about, by the place that a log gives them."""
        adapter = self._benchmark.adapter
        wanted = {self._name_of(answer): answer.place for answer in self._task.answers}
        for number, doc in enumerate(self._data):
            name = str(number) if self._tool == "lmms-eval" else adapter.id_of(without_image(adapter, doc))
            if name in wanted:
                yield wanted[name], doc

    def _name_of(self, answer: ForeignAnswer) -> str:
        """Return what an answer's row is called among the data: its number, its id, or the id that its cells make."""
        if self._tool != "vlmevalkit":
            return answer.place
        try:
            return self._benchmark.adapter.id_of(_doc_of(answer))
        except CellError:
            return answer.place

    def matched(self) -> Matched:
        """Return the questions; a log of other rows is refused."""
        whole, held = len(self._data), self._task.rows
        if self._tool == "lmms-eval" and held != whole:
            raise ForeignLogError(
                f"it was asked of {held:,} rows, and {self._data.source} has {whole:,}: this is not the data of the log"
            )
        places = dict.fromkeys(answer.place for answer in self._task.answers)
        absent = [place for place in places if place not in self._samples]
        unlike = {
            answer.place
            for answer in self._task.answers
            if answer.place in self._samples and not _is_like(self._samples[answer.place], answer)
        }
        odd = [*absent, *unlike]
        if len(odd) > MOST_UNLIKE * len(places):
            raise ForeignLogError(
                f"{len(odd):,} of its {len(places):,} questions are not those of {self._data.source}, such as "
                f"{', '.join(odd[:_SHOWN])}: this is not the data of the log, or its rows have another order"
            )
        faults = dict.fromkeys(absent, "the benchmark's data have no such question")
        faults |= dict.fromkeys(unlike, "the log's question or gold is not that of the benchmark's data")
        samples = {place: sample for place, sample in self._samples.items() if place not in unlike}
        return Matched(self._benchmark.name, self._task, samples, faults, whole, self._data.fingerprint)


def _is_like(sample: Sample, answer: ForeignAnswer) -> bool:
    """Tell whether what a log says of a question fits a row: the gold where it can be told, and the question."""
    if sample.answers and (targets := _targets(answer.cells)) and not _same_gold(sample, targets):
        return False
    asked = answer.prompt if answer.prompt is not None else answer.cells.get("question")
    begin = _SENTENCE_END.split(_plain(sample.question)[:_COMPARED_CHARACTERS], maxsplit=1)[0]
    return not isinstance(asked, str) or begin in _plain(asked)


def _targets(cells: Mapping[str, Json]) -> list[str]:
    found = cells.get("target", cells.get("answer"))
    items = cast("list[Json]", found) if isinstance(found, list) else [found]
    return [str(item) for item in items if item not in (None, "", "None")]


def _same_gold(sample: Sample, targets: Sequence[str]) -> bool:
    """Tell whether a target is an accepted answer, its option's text, or the printed list of all of them."""
    golds = {_plain(gold) for gold in sample.answers or ()}
    golds |= {_plain(sample.choices[gold]) for gold in sample.answers or () if gold in sample.choices}
    golds |= {_plain(str(list(sample.answers or ()))), _plain(str(sample.answers))}
    return any(_plain(target) in golds or _same_number(target, golds) for target in targets)


def _same_number(target: str, golds: set[str]) -> bool:
    """Tell whether a target is a gold's number: tables of other programs make 1.5 of 1.50."""
    try:
        number = float(target)
        return any(float(gold) == number for gold in golds if gold[-1:].isdigit())
    except ValueError:
        return False


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


# --- by the log itself ----------------------------------------------------------------------------------------------


def _from_table(benchmark: Benchmark, answer: ForeignAnswer) -> Sample:
    """Read a row of VLMEvalKit's result: its columns are those of the benchmark's table, without the pictures."""
    missing = missing_columns(benchmark, [*answer.cells, *benchmark.image_columns])
    if missing:
        raise ForeignLogError(f"its table has no column {', '.join(missing)}: there is no gold to score against")
    return benchmark.adapter.sample_of(_doc_of(answer))


def _doc_of(answer: ForeignAnswer) -> dict[str, Any]:
    """Return a row of VLMEvalKit's result as the benchmark's own table has it."""
    return {**answer.cells, ROW: answer.place}


def _from_inspect(benchmark: Benchmark, answer: ForeignAnswer) -> Sample:
    """Read options and target of a sample of Inspect."""
    rule = benchmark.answer_rule
    if rule not in _READ_FROM_LOG:
        raise ForeignLogError(f"answers to {benchmark.name} are scored by columns that Inspect's log does not have")
    options = answer.cells.get("choices")
    texts = [str(text) for text in cast("list[Json]", options)] if isinstance(options, list) else []
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if len(texts) > len(letters):
        raise CellError(f"{len(texts)} options")
    choices = dict(zip(letters, texts, strict=False))
    targets = _targets(answer.cells)
    if rule == "choice":
        if not choices:
            raise CellError("no options")
        named = {text: letter for letter, text in choices.items()}
        targets = [target if target in choices else named.get(target, "") for target in targets]
        if len(targets) != 1 or not targets[0]:
            raise CellError("the target is none of its options")
    return Sample(
        id=answer.place,
        task=benchmark.name,
        answer_rule=rule,
        question=str(answer.cells.get("question") or ""),
        answers=tuple(targets) or None,
        choices=choices,
    )
