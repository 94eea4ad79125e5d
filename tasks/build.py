"""Build lmms-eval task objects that read our rows: what `satori-bench run` hands to lmms-eval's evaluator.

The object comes from the benchmark's YAML, through lmms-eval's own loader, with four things replaced: the dataset (no
hub call, flat memory), the chat turns (any format), the generation arguments and the scoring function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmms_eval.api.task import ConfigurableMessagesTask
from lmms_eval.utils import load_yaml_config

from harness.values import AnyFormat
from tasks.benchmark import TEMPLATE_PATH, Benchmark
from tasks.blind import BlindWay, without_pictures
from tasks.cells import Doc
from tasks.local_data import TaskData, without_image
from tasks.place_prompts import place_question
from tasks.prompts import Message, Wording, messages, wording

SCORE_METRIC = "score"
"""The one metric that a built task gives lmms-eval."""

_GREEDY: Mapping[str, Any] = {"temperature": 0.0, "do_sample": False, "until": []}
_SPLIT = "rows"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a benchmark is asked and scored in a run."""

    asked: AnyFormat | Wording = "satori"
    """The words around the question; a format stands for our own words for it."""
    hook: Callable[[Doc, str], float | None] | None = None
    """Row and the model's raw text to its score in [0, 1], None when it cannot be scored; None scores nothing."""
    generation_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Replaces the defaults (greedy, the benchmark's own token budget) key by key."""
    model_type: str = ""
    """Of the checkpoint, where it is known: a place is asked for in its family's words where nothing else is said."""
    blind: BlindWay | None = None
    """What is shown in place of the pictures; None shows them."""
    repeats: int = 1
    """Answers per sample; more than one makes sense only when sampling."""


def build_task(benchmark: Benchmark, data: TaskData, options: BuildOptions) -> ConfigurableMessagesTask:
    """Return lmms-eval's task object of a benchmark over the given rows.

    An image in the chat turns is a `StoredImage`, to be opened by the model when its turn comes.
    """
    adapter = benchmark.adapter
    question_text = _question_text(benchmark, options)

    def doc_to_messages(doc: Doc) -> list[Message]:
        turns = messages(options.asked, question_text(doc), adapter.shown(doc))
        return turns if options.blind is None else without_pictures(turns, options.blind)

    config = _base_config(benchmark)
    config.update(
        task=benchmark.yaml_name,
        dataset_path=data.source,
        dataset_name=None,
        dataset_kwargs=None,
        test_split=_SPLIT,
        validation_split=None,
        doc_to_messages=doc_to_messages,
        doc_to_text=question_text,
        doc_to_visual=None,
        doc_to_target=lambda doc: (adapter.sample_of(without_image(adapter, doc)).answers or ("",))[0],
        process_results=_no_results,
        generation_kwargs={"max_new_tokens": benchmark.max_new_tokens, **_GREEDY, **options.generation_kwargs},
        metric_list=[{"metric": SCORE_METRIC, "aggregation": mean_of_scored, "higher_is_better": True}],
        repeats=options.repeats,
        cluster_key=None,
    )
    return _BuiltTask(config, data, options.hook)


def _question_text(benchmark: Benchmark, options: BuildOptions) -> Callable[[Doc], str]:
    """Return what makes the text of a row's question."""
    words = options.asked if isinstance(options.asked, Wording) else wording(options.asked)
    place_of = benchmark.adapter.place_of
    if place_of is None or words.system or words.suffix:
        return benchmark.adapter.question_text
    return lambda doc: place_question(benchmark.answer_rule, place_of(doc), options.model_type)


def mean_of_scored(values: Sequence[float | None]) -> float:
    """Return the mean over the rows that could be scored; NaN when none could."""
    scored = [value for value in values if value is not None]
    return math.fsum(scored) / len(scored) if scored else math.nan


class _BuiltTask(ConfigurableMessagesTask):
    """lmms-eval's task, over rows that are already there."""

    def __init__(self, config: dict[str, Any], data: TaskData, hook: Callable[[Doc, str], float | None] | None) -> None:
        self._rows = data
        self._hook = hook
        super().__init__(config=config)

    # The two methods replace ones that tenacity wraps in retries, so that a fault would cost up to 17 seconds and then
    # be hidden; the wrapper's own attributes (`retry`, `statistics`) are what the ignored rule misses.
    def download(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, dataset_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Install the rows; there is nothing to download."""
        del dataset_kwargs
        self.dataset = {_SPLIT: self._rows}
        self.dataset_no_image = self.dataset

    def process_results(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, doc: Doc, results: Sequence[str], full_docs: object = None
    ) -> dict[str, float | None]:
        """Score one text as the model wrote it; lmms-eval's own method would strip it."""
        del full_docs
        return {SCORE_METRIC: self._hook(doc, results[0]) if self._hook is not None and results else None}


def _base_config(benchmark: Benchmark) -> dict[str, Any]:
    """Load the benchmark's YAML; a benchmark of one's own only shares the template with ours."""
    path = TEMPLATE_PATH if benchmark.own is not None else benchmark.yaml_path
    return dict(load_yaml_config(yaml_path=str(path), mode="full"))


def _no_results(doc: Doc, results: Sequence[str]) -> dict[str, float | None]:
    """Stand in for the scoring function in lmms-eval's configuration; the method above is what is called."""
    del doc, results
    return {SCORE_METRIC: None}
