"""Run a task of lmms-eval's own: its prompt, its post-processing and its scorer, through our model, journal and pages.

The task object is lmms-eval's, made of the task's own configuration. What is added only looks on: each sample's metrics
are kept as the scorer gives them, and the aggregate functions are called once, by lmms-eval. Where lmms-eval would end
on one broken picture, or on an answer that its scorer cannot take, the sample is null with the fault `error` instead.
"""

# lmms-eval and datasets have no stubs that tell; what is used of them is annotated here.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import wraps
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import datasets
from lmms_eval.api.metrics import mean
from lmms_eval.api.task import ConfigurableMessagesTask, ConfigurableTask
from PIL import Image

from harness.errors import ConfigError
from harness.evaluation.ask import NativeSample
from harness.images.pictures import UnreadablePictureError
from harness.models.base import read_turns
from harness.models.decoding import Decoding, read_decoding
from harness.runs.native_metrics import NativeMetric, NativeMetrics
from harness.values import Sample
from tasks.adapter import Adapter, image_cluster, image_facts_of, image_value
from tasks.cells import ROW, Doc
from tasks.native_names import FoundTask, asked_of, key_variables, ours_instead
from tasks.rows import DataError, HubRows, undecoded

PREDICTING = "generate_until"
"""The one kind of request that our models answer."""

REASONING_TAGS = '[["<think>", "</think>"], ["<analysis>", "</analysis>"]]'
"""What lmms-eval's command line takes out of an answer before it is scored, unless a task says otherwise."""

_LOST = "_satori_unreadable"
"""Stands in a row whose picture could not be read."""


@dataclass(frozen=True, slots=True)
class _BrokenPicture:
    """Stands for pictures that cannot be read: opening it says why, and its sample alone is null."""

    reason: str

    def open(self) -> Image.Image:
        raise UnreadablePictureError(self.reason)


class _Split(Sequence[Any]):
    """A split of lmms-eval's task whose row with a broken picture can be told from others."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self._bare = undecoded(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        try:
            return self._rows[place]
        except Exception as fault:  # noqa: BLE001 - decoders raise anything on a damaged file
            return {**self._bare[place], _LOST: f"{type(fault).__name__}: {fault}"}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)


class NativeTask(ConfigurableMessagesTask):
    """A task of lmms-eval's own that keeps what its scorer says of each sample."""

    def __init__(self, config: Mapping[str, Any], changes: Changes, limit: int | None) -> None:
        self._changes = changes
        self._limit = limit
        self.failed: Callable[[int], bool] = lambda _: False
        """Whether a row got no answer; set by whoever asks."""
        self.aggregate_failures: dict[str, str] = {}
        """What aggregate functions raised, by metric."""
        self._calls = 0
        self._items: Counter[str] = Counter()
        super().__init__(config=copy.deepcopy(dict(config)))
        self.declared_means = {name for name, function in self._aggregation_list.items() if function is mean}
        self._aggregation_list = {name: self._watched(name, one) for name, one in self._aggregation_list.items()}
        self.kept: list[NativeSample] = [NativeSample() for _ in range(len(self.eval_docs))]
        """What the scorer said of each row."""

    # The two methods replace ones that tenacity wraps in retries, so that a fault would cost up to a minute and then be
    # hidden; the wrapper's own attributes are what the ignored rule misses.
    def download(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, dataset_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Load the data: as the task has it, or from local files in the hub's columns."""
        if self._changes.files:
            self._load_files()
        else:
            _unwrapped(ConfigurableTask.download)(self, None if dataset_kwargs is None else dict(dataset_kwargs))
        self.whole = len(self.dataset[self.split])
        if self._limit is not None:
            rows = range(min(self._limit, self.whole))
            same = self.dataset_no_image is self.dataset
            self.dataset[self.split] = self.dataset[self.split].select(rows)
            if not same:
                self.dataset_no_image[self.split] = self.dataset_no_image[self.split].select(rows)
        self.plain_rows = self.dataset[self.split]
        if any(map(_is_picture, self.plain_rows.features.values())):
            self.dataset = {**self.dataset, self.split: _Split(self.plain_rows)}

    def _load_files(self) -> None:
        """Load local files as the split that is asked; everything after the loading is as in lmms-eval."""
        files = {self.split: [str(path) for path in self._changes.files]}
        loaded = datasets.load_dataset("parquet", data_files=files)
        rows = _with_pictures(cast("Any", loaded)[self.split])
        if self.config.process_docs is not None:
            rows = self.config.process_docs(rows)
        self.dataset = {self.split: rows}
        hidden = [name for name, feature in rows.features.items() if _is_picture(feature)]
        bare = self.config.process_results_use_image or not hidden
        self.dataset_no_image = {self.split: rows if bare else rows.remove_columns(hidden)}

    @property
    def split(self) -> str:
        """The split that is asked."""
        return cast("str", self.config.test_split or self.config.validation_split)

    def doc_to_messages(self, doc: Doc, **rounds: Any) -> Any:
        """Return the chat of a row as the task makes it; a broken picture stands in it as one that cannot be opened."""
        if _LOST in doc:
            return [{"role": "user", "content": [{"type": "image", "url": _BrokenPicture(str(doc[_LOST]))}]}]
        return super().doc_to_messages(cast("Any", doc), **rounds)

    def process_results(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, doc: Doc, results: Sequence[Any], full_docs: object = None
    ) -> dict[str, Any]:
        """Score one row as the task does, and keep what it gives; a row that cannot be scored gives nothing.

        lmms-eval goes through all rows in their order, once per filter: the number of the call is the row's.
        """
        round_of, row = divmod(self._calls, len(self.kept))
        self._calls += 1
        kept, filter_name = self.kept[row], str(self._filters[round_of].name)
        if self.failed(row):
            return {}
        if kept.taken is None:
            kept.taken = results[0] if results and isinstance(results[0], str) else None
        try:
            given = _unwrapped(ConfigurableTask.process_results)(self, doc, results, full_docs)
        except Exception as fault:  # noqa: BLE001 - whatever a stranger's scorer raises on a model's text
            kept.failure = _told(fault)
            return {}
        for metric in self._aggregation_list:
            if metric not in given:
                continue
            key, value = f"{metric},{filter_name}", given[metric]
            self._items[key] += 1
            number = _number(value.get(self.config.score_key) if isinstance(value, Mapping) else value)
            if number is not None:
                kept.values[key] = number
        return given

    def metrics(self, results: Mapping[str, Any]) -> NativeMetrics:
        """Return lmms-eval's aggregates of the task, of what its evaluator returned."""
        own = cast("Mapping[str, Any]", results["results"][self.config.task])
        found: dict[str, NativeMetric] = {}
        for metric, better in self.higher_is_better().items():
            for filters in self._filters:
                key = f"{metric},{filters.name}"
                if key in own:
                    found[key] = self._metric(metric, key, own[key], is_better=better is not False)
        return found

    def _metric(self, metric: str, key: str, value: Any, *, is_better: bool) -> NativeMetric:
        number = _number(value)
        reason = self.aggregate_failures.get(metric)
        if number is None and reason is None:
            reason = f"lmms-eval gives {str(value)[:80]!r}, which is no number"
        return NativeMetric(
            number, self._items[key], metric in self.declared_means, is_better, reason if number is None else None
        )

    def _watched(self, metric: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return an aggregate function that costs its own metric alone where it fails: MME's needs pairs, for one."""

        @wraps(function)  # lmms-eval looks at its parameters
        def aggregate(items: Sequence[Any], **arguments: Any) -> Any:
            try:
                return function(items, **arguments)
            except Exception as fault:  # noqa: BLE001 - as above
                self.aggregate_failures[metric] = f"lmms-eval's aggregate function failed: {_told(fault)}"
                return None

        return aggregate


@dataclass(frozen=True, slots=True)
class Changes:
    """What a person gave in place of what the task says: where its rows come from, how answers are generated."""

    files: tuple[Path, ...] = ()
    """Local parquet files in the hub's columns."""
    hub_path: str | None = None
    """Another dataset of the hub."""
    revision: str | None = None
    """Its revision."""
    generation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Generation arguments in place of the task's own."""


class NativeRows(HubRows):
    """Rows of a task of lmms-eval's own, known by their content: `datasets` names them anew after every change."""

    def fingerprint(self) -> str:
        """Return a hex digest over all cells, pictures as stored."""
        digest = hashlib.sha256()
        for row in range(len(self)):
            cells = {**self.cells(row), **({} if self._images is None else self._images[row])}
            digest.update(json.dumps(cells, sort_keys=True, default=_digest_of).encode(errors="surrogatepass"))
        return digest.hexdigest()


def open_native(found: FoundTask, changes: Changes, limit: int | None) -> tuple[NativeTask, NativeRows]:
    """Make the task object with its data, before any model is loaded.

    Returns:
        The task and its rows.

    Raises:
        DataError: The data cannot be loaded.
        ConfigError: Its first row cannot be asked.
    """
    config = _changed(found.config, changes)
    try:
        task = NativeTask(config, changes, limit)
    except Exception as fault:
        raise DataError(
            f"lmms-eval's task {found.name} cannot be opened on {_place(config, changes)}: {_told(fault)}. Local data: "
            f"--dataset lmms:{found.name}=FILE.parquet, or --data-dir DIR with {found.name}/*.parquet, in the columns "
            "that the task reads"
        ) from fault
    _check_first(task, found.name)
    pictures = [name for name, feature in task.plain_rows.features.items() if _is_picture(feature)]
    rows = NativeRows(undecoded(task.plain_rows), tuple(pictures[:1]) or ("image",), _place(config, changes))
    return task, rows


def adapter_of(task: NativeTask, name: str, image_columns: tuple[str, ...]) -> Adapter:
    """Return the functions that make samples of a native task's rows; `name` is the task's in records."""

    def id_of(doc: Doc) -> str:
        return str(doc[ROW])

    def sample_of(doc: Doc) -> Sample:
        facts = image_facts_of(image_value(doc, image_columns))
        row = task.eval_docs_no_media[doc[ROW]]
        category = doc.get("category")
        return Sample(
            id=id_of(doc),
            task=name,
            answer_rule="native",
            question=_text_of(task, row),
            answers=_targets(task, row),
            category=category if isinstance(category, str) else "",
            cluster=image_cluster(facts, ""),
            image_size=None if facts is None else facts.size,
            image_sha256="" if facts is None else facts.sha256,
        )

    def cluster_of(doc: Doc) -> str:
        return image_cluster(image_facts_of(image_value(doc, image_columns)), id_of(doc))

    return Adapter(
        sample_of=sample_of,
        question_text=lambda doc: _text_of(task, task.eval_docs_no_media[doc[ROW]]),
        id_of=id_of,
        cluster_of=cluster_of,
        image_columns=image_columns,
    )


@dataclass(frozen=True, slots=True)
class NativeTaskScorer:
    """What `harness.evaluation.ask` asks of a task beside lmms-eval's evaluator."""

    task: NativeTask
    """The task object."""

    def begin(self, failed: Callable[[int], bool]) -> None:
        """Take how to tell whether a row got no answer."""
        self.task.failed = failed

    def arguments(self) -> AbstractContextManager[argparse.Namespace]:
        """Return what lmms-eval's command line hands to its tasks."""
        return program_arguments(str(self.task.config.task))

    def samples(self) -> Sequence[NativeSample]:
        """Return what the scorer said of each row."""
        return self.task.kept

    def metrics(self, results: Mapping[str, Any]) -> NativeMetrics:
        """Return lmms-eval's aggregates."""
        return self.task.metrics(results)


@contextmanager
def program_arguments(name: str) -> Iterator[argparse.Namespace]:
    """Give what lmms-eval's command line hands to its tasks.

    Files that they write go, with the folder, at the end; what they print is nobody's result.
    """
    with TemporaryDirectory(prefix="satori-lmms-eval-") as folder, redirect_stdout(io.StringIO()):
        yield argparse.Namespace(
            tasks=name,
            output_path=folder,
            log_samples=False,
            log_samples_suffix="",
            model="satori",
            model_args="",
            process_with_media=False,
            reasoning_tags=REASONING_TAGS,
            predict_only=False,
            agentic_trace_mode="basic",
        )


def check_native(found: FoundTask) -> None:
    """Refuse a task that no model here can answer, or whose scorer cannot be called, before its data are looked for.

    Raises:
        ConfigError: It is one; all faults together.
    """
    config, name = found.config, found.name
    faults: list[str] = []
    if (kind := config.get("output_type", PREDICTING)) != PREDICTING:
        faults.append(f"it is of output_type {kind}, and models here answer {PREDICTING} alone")
    if (repeats := config.get("repeats") or 1) != 1:
        faults.append(f"it asks each question {repeats} times (repeats), and a run here keeps one answer a sample")
    if config.get("full_docs"):
        faults.append("its scorer wants all rows at once (full_docs)")
    if (caller := asked_of(config)) is not None and not any(os.environ.get(key) for key in key_variables()):
        faults.append(
            f"its scorer asks a judge by {caller}, and none of {', '.join(key_variables())} is set: without a key it "
            "would wait, and then score what was never judged. Set the key that its code reads (any word, where you "
            "know that this variant asks nobody)"
        )
    if faults:
        raise ConfigError(f"lmms-eval's task {name} cannot be run here: {'; '.join(faults)}.{ours_instead(name)}")


def _changed(config: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return a configuration with what a person gave, without what only other model wrappers read."""
    config = dict(config)
    if changes.hub_path is not None:
        kwargs = {key: value for key, value in (config.get("dataset_kwargs") or {}).items() if key != "revision"}
        revision = {} if changes.revision is None else {"revision": changes.revision}
        config |= {"dataset_path": changes.hub_path, "dataset_kwargs": {**kwargs, **revision}}
    if config.get("generation_kwargs") is not None or changes.generation:
        config["generation_kwargs"] = {**_known_arguments(config.get("generation_kwargs") or {}), **changes.generation}
    return config


def _known_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what only other model wrappers of lmms-eval read, such as LLaVA's `image_aspect_ratio`."""
    known = {*Decoding.__dataclass_fields__, "do_sample"}
    return {name: value for name, value in arguments.items() if name in known}


def _check_first(task: NativeTask, name: str) -> None:
    """Look at how the first row would be asked, and at the generation arguments.

    Raises:
        ConfigError: No model here could be asked so.
    """
    try:
        messages = task.doc_to_messages(task.dataset[task.split][0])
    except Exception as fault:
        raise ConfigError(f"lmms-eval's task {name} cannot make a prompt of its first row: {_told(fault)}") from fault
    read_turns(messages, f"lmms-eval's task {name}, first row")
    read_decoding(task.config.generation_kwargs or {}, f"generation_kwargs of lmms-eval's task {name}")


def _text_of(task: NativeTask, row: Doc) -> str:
    """Return the text of a row's prompt; empty where the task makes it of its picture too."""
    try:
        text = task.doc_to_text(row)
    except Exception:  # noqa: BLE001 - what is asked is asked by lmms-eval; this is for the page
        return ""
    return text if isinstance(text, str) else str(text)


def _targets(task: NativeTask, row: Doc) -> tuple[str, ...] | None:
    """Return what the task calls a row's right answer, for the page: nothing here is scored by it."""
    try:
        target = task.doc_to_target(cast("Any", row))
    except Exception:  # noqa: BLE001 - as above
        return None
    if target is None:
        return None
    return tuple(map(str, target)) if isinstance(target, list) else (str(target),)


def _with_pictures(rows: Any) -> Any:
    """Return rows of a local file with pictures where its cells are the hub's struct of bytes and path.

    A file that was not written by `datasets` does not say so itself.
    """
    for name, feature in dict(rows.features).items():
        if _is_hub_struct(feature):
            rows = rows.cast_column(name, datasets.Image())
        elif isinstance(feature, datasets.List) and _is_hub_struct(feature.feature):
            rows = rows.cast_column(name, datasets.List(datasets.Image()))
    return rows


def _is_hub_struct(feature: Any) -> bool:
    return isinstance(feature, dict) and set(cast("dict[str, Any]", feature)) == {"bytes", "path"}


def _is_picture(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or isinstance(getattr(feature, "feature", None), datasets.Image)


def _place(config: Mapping[str, Any], changes: Changes) -> str:
    """Say where the rows come from."""
    if changes.files:
        return ", ".join(map(str, changes.files))
    parts = [
        config.get("dataset_path"),
        config.get("dataset_name"),
        config.get("test_split") or config.get("validation_split"),
    ]
    return " ".join(str(part) for part in parts if part)


def _number(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None


def _told(fault: BaseException) -> str:
    """Return the kind of an error and the first line of what it says, beneath what was raised from it."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    said = (str(fault).splitlines() or [""])[0][:300]
    return f"{type(fault).__name__}: {said}" if said else type(fault).__name__


def _unwrapped(method: Any) -> Callable[..., Any]:
    """Return a method of lmms-eval's without the retries around it."""
    return cast("Callable[..., Any]", method.__wrapped__)


def _digest_of(value: Any) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return str(value)
