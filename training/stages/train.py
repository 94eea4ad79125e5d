"""Train one stage: from settings to a published checkpoint folder that `run` can evaluate.

Work happens in `<output>.partial/`: the trainer's checkpoints, its completions, the manifest. A killed run goes on from
the last checkpoint there when the same command comes again; the finished folder appears by one rename, and a stage
whose inputs have not changed is not trained twice.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from filelock import Timeout
from peft import LoraConfig
from transformers import PrinterCallback, set_seed

from harness.errors import ConfigError, IncompleteError
from harness.models.checkpoint import inspect_checkpoint
from harness.runs.journal import file_lock
from harness.runs.json_text import json_safe
from harness.runs.manifest import utc_text
from harness.runs.store import write_atomically
from harness.values import BoxDialect, ScoreConfig
from training.data.shapes import shapes_examples, shapes_profile
from training.data.store import ExampleTable, read_examples, write_examples
from training.data.targets import NEEDED_GOLD
from training.stages.live_evaluation import LiveEvaluation
from training.stages.manifest import (
    TrainManifest,
    input_hash,
    read_train_manifest,
    settings_json,
    write_manifest,
)
from training.stages.memory import formats
from training.stages.policy import MERGED_PREFIX, Policy, assert_left_padding, load_weights, open_policy
from training.stages.profiles import PROFILES
from training.stages.rewards import RewardSet
from training.stages.rows import RowMaker, as_dataset
from training.stages.settings import GrpoSettings, Lora, SftSettings, TrainSettings
from training.stages.trainers import (
    Begin,
    CarefulGRPOTrainer,
    CarefulSFTTrainer,
    FiniteGradients,
    Progress,
    TrainingError,
    Watch,
    last_checkpoint,
)
from training.stages.trl_arguments import grpo_arguments, sft_arguments
from training.stages.zoom_environment import ZoomEnvironment, check_tools

SHAPES_ROWS = 4_000
"""Examples of the embedded training split, where it is asked for by name."""
LOG_NAME = "log_history.json"
"""The trainer's log, beside the checkpoint."""


@dataclass(frozen=True, slots=True)
class TrainEnvironment:
    """What training takes from its surroundings, so that a test can give it."""

    now: Callable[[], datetime]
    """The present time, with its zone."""
    say: Callable[[str], None]
    """Takes a line for the person who watches."""
    packages: Mapping[str, str]
    """Package versions for the manifest."""
    git_commit: str | None = None
    """Commit of the code; None when not known."""
    watch: Watch = field(default_factory=Watch)
    """Who follows the steps."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A published checkpoint."""

    folder: Path
    """Holds weights, processor, manifest and log."""
    manifest: TrainManifest
    """What it is."""
    reused: bool
    """Whether it was there already, made from equal inputs."""


def train(settings: TrainSettings, environment: TrainEnvironment) -> Trained:
    """Train a stage and publish its checkpoint; equal inputs that are already trained are only named.

    Raises:
        ConfigError: Model, data or settings cannot be trained with, or the output folder holds something else; found
            before any weight is loaded.
        IncompleteError: Another process is training the same output.
        TrainingError: The loss is not finite, or the disk refuses; the last good checkpoint is named.
    """
    check_inputs(settings)
    work = settings.output.with_name(settings.output.name + ".partial")
    if process_rank() > 0:  # the first process holds the lock for those that a launcher started beside it
        return _train(settings, environment, work)
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = file_lock(work.with_name(work.name + ".lock"))
    is_new = not work.exists()
    try:
        with lock.acquire(timeout=0):
            try:
                return _train(settings, environment, work)
            except ConfigError:
                if is_new:  # refused before its first step: nothing that could be gone on with
                    shutil.rmtree(work, ignore_errors=True)
                    Path(lock.lock_file).unlink(missing_ok=True)
                raise
    except Timeout as fault:
        raise IncompleteError(f"another process is training {settings.output}; wait for it or stop it") from fault


def process_rank() -> int:
    """Return this process's number among those that a launcher started; 0 without one."""
    return int(os.environ.get("RANK", "0"))


def check_inputs(settings: TrainSettings) -> None:
    """Look at model and data without loading or writing anything.

    Raises:
        ConfigError: They are missing, broken, or the data lack the gold that the settings need.
    """
    if shapes_profile(settings.data) is None:
        faults = data_faults(settings, read_examples(Path(settings.data)))
        if faults:
            raise ConfigError("; ".join(faults))
    inspect_checkpoint(settings.model)


def open_data(data: str, cache: Path) -> ExampleTable:
    """Open training data: a parquet of `data build`, or `shapes:tiny` / `shapes:full`, which are drawn into `cache`.

    Raises:
        ConfigError: There is no such data.
    """
    profile = shapes_profile(data)
    if profile is None:
        return read_examples(Path(data))
    path = cache / f"shapes-{profile}.parquet"
    if not path.is_file():
        write_examples(path, shapes_examples(profile, SHAPES_ROWS))
    return read_examples(path)


def data_faults(settings: TrainSettings, table: ExampleTable) -> list[str]:
    """Return what the data lack for the settings: gold for a stage that is taught or rewarded."""
    facts = table.facts
    lacking = {"bbox": facts.rows - facts.with_boxes, "caption": facts.rows - facts.with_caption}
    if isinstance(settings, GrpoSettings):
        wanted = set(settings.rewards.names)
        mend = "drop the reward `{0}` from rewards.weights, or give data with {1}"
    else:
        wanted = {"bbox" if part == "boxes" else part for part in NEEDED_GOLD[settings.format]}
        mend = "give data with {1}, or train a format that does without, such as satori-adaptive or plain"
    words = {"bbox": "gold boxes", "caption": "reference captions"}
    return [
        f"data: {missing} of {facts.rows} examples have no {words[name]}, which {name} needs: "
        + mend.format(name, words[name])
        for name, missing in lacking.items()
        if name in wanted and (missing == facts.rows or (missing and settings.stage == "sft"))
    ]


def _train(settings: TrainSettings, environment: TrainEnvironment, work: Path) -> Trained:
    """Check, load, train, publish."""
    if (PROFILES[settings.profile].common.get("use_cpu")) and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # more threads than free cores make small models many times slower
    work.mkdir(parents=True, exist_ok=True)
    with _first_process_first(settings):  # it draws data and merges an adapter, the others find them
        table = open_data(settings.data, work)
        policy = open_policy(settings.model, settings.format, settings.declared_dialect, work)
    hashes = policy.hashes
    manifest = TrainManifest(
        stage=settings.stage,
        settings=settings_json(settings),
        base_weights_hash=hashes.weights_hash,
        base_config_hash=hashes.config_hash,
        data_hash=table.data_hash,
        data_rows=len(table),
        input_hash=input_hash(settings, (hashes.weights_hash, hashes.config_hash), table.data_hash),
        packages=environment.packages,
        git_commit=environment.git_commit,
        started_utc=utc_text(environment.now()),
    )
    done = _already_there(settings.output, manifest)
    if done is not None:
        shutil.rmtree(work, ignore_errors=True)
        return Trained(settings.output, done, reused=True)
    with _first_process_first(settings):
        _begin(work, manifest, environment)
    for warning in policy.warnings:
        environment.say(f"warning: {warning}")
    started = time.monotonic()
    trainer = _trainer(settings, table, policy, work, environment)
    resume_from = last_checkpoint(work)
    if resume_from is not None:
        environment.say(f"resuming {settings.stage} from {resume_from}")
    trainer.train(resume_from_checkpoint=str(resume_from) if resume_from is not None else None)
    finished = replace(
        manifest,
        status="complete",
        steps=int(trainer.state.global_step),
        finished_utc=utc_text(environment.now()),
        train_s=time.monotonic() - started,
    )
    if trainer.accelerator.is_main_process:
        _check_reached(trainer, settings)
    _publish(trainer, policy, finished, work, settings.output)
    return Trained(settings.output, finished, reused=False)


def _first_process_first(settings: TrainSettings) -> AbstractContextManager[None]:
    """Return a context that the first of several processes leaves before the others enter it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return nullcontext()
    return PartialState(cpu=bool(PROFILES[settings.profile].common.get("use_cpu"))).main_process_first()


def _already_there(output: Path, manifest: TrainManifest) -> TrainManifest | None:
    """Return the manifest of an output made from equal inputs; None where there is no output.

    Raises:
        ConfigError: The folder holds something else, which is never overwritten.
    """
    if not output.exists():
        return None
    there = read_train_manifest(output)
    if there is None or there.input_hash != manifest.input_hash:
        raise ConfigError(
            f"{output} is there already and was not made from these settings, weights and data: name another output, "
            "or delete it"
        )
    return there


def _begin(work: Path, manifest: TrainManifest, environment: TrainEnvironment) -> None:
    """Take up a killed run of equal inputs, or begin anew."""
    before = read_train_manifest(work)
    if before is not None and before.input_hash != manifest.input_hash:
        environment.say(f"{work} was left by a run of other inputs; its checkpoints are not used")
        for checkpoint in work.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        shutil.rmtree(work / "completions", ignore_errors=True)
    write_manifest(work, manifest)


def _trainer(
    settings: TrainSettings, table: ExampleTable, policy: Policy, work: Path, environment: TrainEnvironment
) -> Any:
    """Build the trainer of a stage."""
    assert_left_padding(policy.processor)
    with_zoom = isinstance(settings, GrpoSettings) and settings.tools == "zoom"
    maker = RowMaker(
        settings.stage,
        settings.format,
        policy.box_dialect,
        policy.pixel_limits,
        has_system_role=policy.has_system_role,
        keeps_originals=with_zoom,
    )
    dataset = as_dataset(table, maker)
    peft_config = _lora(settings.lora) if settings.lora is not None else None
    set_seed(settings.seed)
    if isinstance(settings, SftSettings):
        trainer: Any = CarefulSFTTrainer(
            model=load_weights(policy, formats(settings).held),
            args=sft_arguments(settings, work),
            train_dataset=dataset,
            processing_class=policy.processor,
            peft_config=peft_config,
        )
    else:
        config = ScoreConfig(settings.rewards.protocol, settings.format, policy.box_dialect, policy.pixel_limits)
        rewards = RewardSet(
            settings.rewards.names,
            config,
            most_tokens=settings.rollouts.max_completion_tokens,
            end_ids=policy.end_ids,
            stage_costs=settings.rewards.stage_costs,
        )
        arguments = grpo_arguments(settings, work, list(policy.suppressed_ids))
        environment_factory: Callable[[], object] | None = None
        if with_zoom:
            check_tools(policy.processor, settings.model)
            dialect = policy.box_dialect or BoxDialect("list", "xyxy", "image_px")
            environment_factory = partial(ZoomEnvironment, dialect, policy.pixel_limits)
        trainer = CarefulGRPOTrainer(
            model=load_weights(policy, formats(settings).held),
            reward_funcs=cast("Any", rewards.functions),
            args=arguments,
            train_dataset=dataset,
            processing_class=policy.processor,
            peft_config=peft_config,
            environment_factory=cast("Any", environment_factory),
        )
        reason = trainer.watch_noise(settings.objective.noise_coordinates)
        if reason is not None:
            environment.say(reason)
    trainer.remove_callback(PrinterCallback)  # stdout is for results; the log is kept, and the listener shows it
    trainer.add_callback(FiniteGradients(work))
    if environment.watch.listener is not None:
        trainer.add_callback(Progress(settings.stage, environment.watch.listener))
    if settings.evaluation is not None:
        trainer.add_callback(
            LiveEvaluation(
                settings.evaluation,
                base=policy.checkpoint.path,
                name=settings.output.name,
                form=settings.format,
                box_dialect=settings.declared_dialect,
                say=environment.say,
                packages=environment.packages,
                git_commit=environment.git_commit,
            )
        )
    if environment.watch.on_begin is not None:
        trainer.add_callback(Begin(environment.watch.on_begin, trainer))
    return trainer


def _lora(lora: Lora) -> LoraConfig:
    """Return peft's configuration."""
    names = [name.strip() for name in lora.targets.split(",")]
    return LoraConfig(
        r=lora.rank,
        lora_alpha=cast("Any", lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.targets if lora.targets == "all-linear" else names,
        task_type="CAUSAL_LM",
    )


def _check_reached(trainer: Any, settings: TrainSettings) -> None:
    """Make sure that training ended where it was to end."""
    wanted = settings.optimisation.steps
    if wanted is not None and int(trainer.state.global_step) < wanted:
        raise TrainingError(f"training stopped at step {trainer.state.global_step} of {wanted}; run it again")


def _publish(trainer: Any, policy: Policy, manifest: TrainManifest, work: Path, output: Path) -> None:
    """Save weights, processor, log and manifest, drop the trainer's checkpoints, and put the folder in place."""
    trainer.save_model(str(work))
    if trainer.accelerator.is_main_process:
        policy.processor.save_pretrained(work)
        log = json.dumps(json_safe(trainer.state.log_history), indent=1, allow_nan=False) + "\n"
        write_atomically(work / LOG_NAME, log.encode("ascii"))
        for checkpoint in work.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        _name_base(work)
        write_manifest(work, manifest)
        work.replace(output)
    trainer.accelerator.wait_for_everyone()


def _name_base(work: Path) -> None:
    """Make an adapter name a merged base that lies inside its own folder by a path that survives the rename."""
    file = work / "adapter_config.json"
    merged = sorted(work.glob(f"{MERGED_PREFIX}*"))
    adapter = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for start in merged:
        if adapter and Path(adapter["base_model_name_or_path"]) == start.resolve():
            adapter["base_model_name_or_path"] = start.name
            write_atomically(file, (json.dumps(adapter, indent=2) + "\n").encode("utf-8"))
        else:
            shutil.rmtree(start)
