"""Tasks of lmms-eval's own as benchmarks here: by name, and what a run of them may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.errors import ConfigError
from harness.models.decoding import DEFAULT_MAX_NEW_TOKENS
from harness.task_facts import NATIVE_PREFIX
from harness.values import NATIVE, Sample
from tasks.adapter import Adapter
from tasks.benchmark import Benchmark, NativeSource
from tasks.cells import Doc

if TYPE_CHECKING:
    from tasks.native_names import FoundTask
    from tasks.run_spec import RunSpec

_TASK_KEYS = frozenset({
    "doc_to_text", "doc_to_visual", "doc_to_messages", "doc_to_target", "process_results", "metric_list", "output_type",
    "include", "group",
})  # fmt: skip
"""One of these makes a YAML file without a `satori` section one of lmms-eval's."""


def native_benchmarks(word: str) -> list[Benchmark]:
    """Return the benchmarks that `lmms:NAME` names: a task of lmms-eval's own, or those of a group or tag.

    Raises:
        ConfigError: lmms-eval has no such name, or its code cannot be imported.
    """
    from tasks.native_names import find_tasks  # noqa: PLC0415 - imports lmms-eval, which takes seconds

    return [_benchmark(found) for found in find_tasks(word.removeprefix(NATIVE_PREFIX))]


def native_file(path: Path) -> list[Benchmark]:
    """Return the benchmarks of a YAML file of lmms-eval's kind; the errors are those of `native_benchmarks`."""
    from tasks.native_names import read_task_file  # noqa: PLC0415 - as above

    return [_benchmark(found) for found in read_task_file(path)]


def is_native_file(config: object) -> bool:
    """Tell whether a YAML file without a `satori` section describes a task of lmms-eval's own kind."""
    return isinstance(config, dict) and not _TASK_KEYS.isdisjoint(cast("dict[str, Any]", config))


def native_spec(spec: RunSpec, benchmarks: Sequence[Benchmark]) -> RunSpec:
    """Return the configuration of a run of lmms-eval's own tasks: the bare text, and its protocol; others stay.

    Raises:
        ConfigError: Such tasks stand beside others, or something is asked that they leave no room for.
    """
    natives = [benchmark.name for benchmark in benchmarks if benchmark.native is not None]
    if not natives:
        return spec
    faults: list[str] = []
    others = [benchmark.name for benchmark in benchmarks if benchmark.native is None]
    if others:
        faults.append(
            f"{', '.join(natives)} and {', '.join(others)} are asked and scored in different ways, and a run has one "
            "protocol: make a run of each kind"
        )
    if spec.form not in {"satori", "plain"}:
        faults.append("--format is not theirs: they ask in their own words, and their own code reads the whole text")
    if spec.protocol not in {"strict", NATIVE}:
        faults.append(f"--protocol {spec.protocol} is not theirs: their own code scores them ({NATIVE})")
    if spec.prompt != "ours" or spec.system_prompt is not None or spec.prompt_suffix is not None:
        faults.append("--prompt, --system-prompt and --prompt-suffix are not theirs: they ask in their own words")
    if spec.shard is not None:
        faults.append("--shard is not for them: their aggregates are made of all samples at once")
    if spec.boxes is not None or spec.blind is not None or spec.tool is not None:
        faults.append(
            "--boxes, --blind and --tool are not for them: their own code makes the prompt and reads the answer"
        )
    if spec.judge is not None:
        faults.append("--judge is for benchmarks that are scored here: a judge of theirs is set up as lmms-eval has it")
    if faults:
        raise ConfigError(f"tasks of lmms-eval's own: {'; '.join(faults)}")
    return replace(spec, form="plain", protocol=NATIVE)


def _benchmark(found: FoundTask) -> Benchmark:
    config = found.config
    metrics = cast("Sequence[dict[str, Any]]", config.get("metric_list") or [{"metric": "none"}])
    first = metrics[0]["metric"]
    return Benchmark(
        name=f"{NATIVE_PREFIX}{found.name}",
        title=f"lmms-eval's own {found.name}",
        answer_rule="native",
        adapter=_UNOPENED,
        hub_path=str(config.get("dataset_path") or ""),
        hub_config=None if config.get("dataset_name") is None else str(config["dataset_name"]),
        hub_split=str(config.get("test_split") or config.get("validation_split") or ""),
        max_new_tokens=int((config.get("generation_kwargs") or {}).get("max_new_tokens") or DEFAULT_MAX_NEW_TOKENS),
        boxes_column="",
        licence="",
        notes="asked, read and scored by lmms-eval's own code; `run` alone takes it",
        native=NativeSource(
            name=found.name,
            yaml_path=found.yaml_path,
            code_hash=found.code_hash,
            metric=first if isinstance(first, str) else getattr(first, "__name__", "none"),
            found=found,
        ),
    )


def _not_opened(doc: Doc) -> str:
    raise ConfigError(f"a task of lmms-eval's own has its rows only in a run of it, not here ({len(doc)} cells)")


def _no_sample(doc: Doc) -> Sample:
    raise ConfigError(_not_opened(doc))


_UNOPENED = Adapter(sample_of=_no_sample, question_text=_not_opened, id_of=_not_opened, cluster_of=_not_opened)
"""Stands until the rows are opened."""
