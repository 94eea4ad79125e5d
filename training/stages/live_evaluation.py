"""Benchmark a model while it trains: every so many steps the live model answers, and an ordinary run folder is left.

A callback of transformers' Trainer and TRL's, in `train` by the table [evaluation], and for a script of one's own:

    trainer.add_callback(LiveEvaluation(Evaluation(every_steps=50, tasks="mmstar", limit=200), base=CKPT, name="mine"))

Nothing of the training changes by it, bit for bit (`harness/models/live.py`). Every process answers a shard of the
samples; the first merges them. What goes wrong while asking is told and training goes on; what is configured wrongly
ends it before its first step.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import AutoTokenizer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from harness.errors import ConfigError, IncompleteError
from harness.evaluation.merge import merge_shards
from harness.models.checkpoint import CheckpointHashes, inspect_checkpoint
from harness.models.live import WeightsHash, alone, answering_module, as_it_was, live_model
from harness.runs.manifest import NUMBER_FORMAT, stamp_hashes
from harness.summary.run_summary import RunSummary
from harness.values import AnyFormat, BoxDialect, Record
from tasks.parts import cut_folder, shard_folder
from tasks.run import Asked, PreparedRun, open_asked, prepare_run, run_prepared
from tasks.run_spec import RunEnvironment, RunSpec, package_versions, parse_dataset_overrides
from tasks.run_subject import Subject, find_subject
from tasks.shards import Shard
from training.stages.settings import Evaluation

IN_TRAINING = "in_training"
"""Key of a manifest that says at which step of which training the model was asked."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one process came to, for all of them."""

    folder: Path | None = None
    """Its run."""
    fault: str = ""
    """Why there is none."""
    summary: RunSummary | None = None
    """What it scored, where it is the whole."""


class _Silent:
    """Listens to nothing: the bar shows training."""

    def task_started(self, task: str, rows: int, answered: int) -> None:
        """Nothing."""

    def sample_recorded(self, record: Record) -> None:
        """Nothing."""

    def task_finished(self, task: str) -> None:
        """Nothing."""


class LiveEvaluation(TrainerCallback):
    """Asks the model in training; see the head of this file."""

    def __init__(  # noqa: PLR0913 - a script names the few that it needs
        self,
        evaluation: Evaluation,
        *,
        base: str | Path,
        name: str,
        form: AnyFormat = "satori",
        box_dialect: BoxDialect | None = None,
        say: Callable[[str], None] = print,
        packages: Mapping[str, str] | None = None,
        git_commit: str | None = None,
    ) -> None:
        """Begin with nothing looked at.

        Args:
            evaluation: What is asked, and when.
            base: Folder or hub id of the checkpoint that training started from: its processor asks.
            name: Begins the runs' names, `NAME-step-N`.
            form: Format: decides prompt and parser.
            box_dialect: How boxes are read; None: as the checkpoint's family writes them.
            say: Takes a line for the person who watches.
            packages: Package versions for the manifest; None looks them up.
            git_commit: Commit of the code; None when not known.
        """
        self._chosen = evaluation
        self._base, self._name = str(base), name
        self._say = say
        self._spec = RunSpec(
            model=self._base,
            tasks=evaluation.tasks,
            form=form,
            box_dialect=box_dialect,
            max_new_tokens=evaluation.max_new_tokens,
            limit=evaluation.limit,
            limit_seed=None if evaluation.limit is None else evaluation.limit_seed,
            batch_size=evaluation.batch_size,
            datasets=parse_dataset_overrides([f"{task}={path}" for task, path in evaluation.datasets.items()]),
            data_dir=evaluation.data_dir,
            out=evaluation.out,
        )
        self._packages = packages if packages is not None else package_versions()
        self._git_commit = git_commit
        self._weights = WeightsHash()
        self._ready: _Ready | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at data, checkpoint and model, so that what is wrong ends training before it begins; then ask.

        Raises:
            ConfigError: Something is configured wrongly.
        """
        del args, control
        found = _all_of(self._looked_at, kwargs["model"], kwargs.get("processing_class"))
        if faults := dict.fromkeys(told.fault for told in found if told.fault):
            raise ConfigError(f"evaluation: {'; '.join(faults)}")
        if self._chosen.at_start and state.global_step == 0:
            self._evaluate(kwargs["model"], 0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask the model at its steps."""
        del args, control
        if state.global_step % self._chosen.every_steps == 0:
            self._evaluate(kwargs["model"], state.global_step)

    def _looked_at(self, model: Any, processing_class: Any) -> _Told:
        """Open what is asked, once for all steps."""
        world = PartialState()
        shard = Shard(world.process_index + 1, world.num_processes) if world.num_processes > 1 else None
        spec, module = replace(self._spec, shard=shard), answering_module(model)
        with as_it_was(module), alone():
            asked = open_asked(spec, _nothing)
            _check_tokens(self._base, processing_class)
            live_model(module, self._base, batch_size="1", seed=0)  # asks it a first question
            self._ready = _Ready(spec, asked, find_subject(spec))
        return _Told()

    def _evaluate(self, model: Any, step: int) -> None:
        """Ask the model in all processes, and say what came of it; nothing that goes wrong ends training."""
        world = PartialState()
        found = _all_of(self._asked, answering_module(model), step)
        if world.is_main_process:
            self._say(f"evaluation at step {step}: {_in_words(self._merged(found))}")
        world.wait_for_everyone()

    def _asked(self, module: torch.nn.Module, step: int) -> _Told:
        """Ask the model this process's part, or find it asked."""
        assert self._ready is not None, "on_train_begin comes first"
        with as_it_was(module), alone():
            weights_hash = self._weights.of(module)
            prepared = self._prepared(self._ready, module, weights_hash, step)
            environment = self._environment(module)
            result = run_prepared(prepared, environment)
        return _Told(result.folder, summary=result.summary if prepared.spec.shard is None else None)

    def _prepared(self, ready: _Ready, module: torch.nn.Module, weights_hash: str, step: int) -> PreparedRun:
        """Return the run of one step."""
        spec = replace(ready.spec, model=f"{self._name}-step-{step}")
        if spec.shard is not None:  # beside the runs, as the parts of `run --num-processes`
            parts = self._spec.out / f".{weights_hash[:12]}-parts"
            spec = replace(spec, out=shard_folder(cut_folder(parts, spec.shard.of), spec.shard.number))
        subject = replace(ready.subject, hashes=CheckpointHashes(weights_hash, ready.subject.hashes.config_hash))
        prepared = prepare_run(spec, self._environment(module), ready.asked, replace(subject, is_adapter=False))
        told = {
            IN_TRAINING: {"step": step, "training": self._name},
            NUMBER_FORMAT: str(next(module.parameters()).dtype).removeprefix("torch."),
        }
        manifest = replace(prepared.manifest, other={**prepared.manifest.other, **told})
        return replace(prepared, manifest=stamp_hashes(manifest))

    def _environment(self, module: torch.nn.Module) -> RunEnvironment:
        return RunEnvironment(
            now=lambda: datetime.now(UTC),
            say=_nothing,
            listener=_Silent(),
            packages=self._packages,
            git_commit=self._git_commit,
            load_model=lambda spec: live_model(module, self._base, batch_size=spec.batch_size, seed=spec.seed),
        )

    def _merged(self, found: Sequence[_Told]) -> _Told:
        """Make one run of all processes' parts."""
        if faults := dict.fromkeys(told.fault for told in found if told.fault):
            return _Told(fault="; ".join(faults))
        if len(found) == 1:
            return found[0]
        folders = [told.folder for told in found if told.folder is not None]
        try:
            folder, summary = merge_shards(folders, self._spec.out, now=datetime.now(UTC))
        except Exception as fault:  # noqa: BLE001 - training goes on, whatever becomes of a benchmark
            return _Told(fault=_words(fault))
        shutil.rmtree(folders[0].parents[2], ignore_errors=True)  # .KEY-parts/of-N/i/RUN
        return _Told(folder, summary=summary)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is the same at every step."""

    spec: RunSpec
    """What this process is asked."""
    asked: Asked
    """The same with its rows."""
    subject: Subject
    """What is known of the model but for its weights."""


def _all_of(act: Callable[..., _Told], *arguments: object) -> list[_Told]:
    """Act in every process and return what each came to: one that failed alone would leave the others waiting."""
    try:
        mine = act(*arguments)
    except Exception as fault:  # noqa: BLE001 - told to all processes
        mine = _Told(fault=_words(fault))
    return list(gather_object([mine]))


def _words(fault: Exception) -> str:
    known = isinstance(fault, ConfigError | IncompleteError)
    return str(fault) if known else f"{type(fault).__name__}: {fault}"


def _in_words(told: _Told) -> str:
    if told.summary is None:
        return f"there is no run: {told.fault}. Training goes on"
    scores = [
        f"{task} {summary.headline} {'null' if value is None else f'{value:.3f}'}, n {summary.n}"
        for task, summary in told.summary.tasks.items()
        for value in [summary.metrics[summary.headline].value if summary.headline in summary.metrics else None]
    ]
    doubts = [f"warning: {warning}" for warning in told.summary.warnings]
    if not told.summary.is_complete:
        doubts.append(f"{100 * told.summary.unexplained_share:.1f} % of the samples got no answer")
    warnings = "".join(f" ({doubt})" for doubt in doubts)
    return f"{'; '.join(scores)}{warnings}: {told.folder}"


def _check_tokens(base: str, processing_class: Any) -> None:
    """Refuse a base whose tokenizer is another one than training's: it would ask in other tokens.

    Raises:
        ConfigError: It is.
    """
    trained = getattr(processing_class, "tokenizer", processing_class)
    if trained is None:
        return
    own = AutoTokenizer.from_pretrained(inspect_checkpoint(base).processor.tokenizer_folder)
    if trained.get_vocab() != own.get_vocab():
        raise ConfigError(
            f"the tokenizer of {base} is not the one that is trained with ({len(own)} and {len(trained)} tokens): save "
            "the base with its added tokens first, and name that folder"
        )


def _nothing(text: str) -> None:
    """Say nothing: what was decided about the model is the same at every step."""
