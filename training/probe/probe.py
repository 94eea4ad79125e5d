"""Measures a frozen checkpoint's policy-gradient noise under different rewards, on the same rollouts.

M prompts are chosen, no two with one image, so that they are independent; for each, G completions are sampled once and
scored once. Every reward set then gives each prompt another gradient (`training/probe/policy_gradients.py`) over the
same completions, so that differences between sets are paired. What the gradients say is in
`training/probe/covariance.py`.

    probe = run_probe(ProbeSpec("checkpoints/grpo", data="train.parquet"), packages={}, listener=progress)
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from harness.errors import ConfigError
from harness.models.checkpoint import Checkpoint, hash_checkpoint, inspect_checkpoint, override_limits
from harness.runs.manifest import canonical_json
from harness.runs.store import write_atomically
from harness.scoring.box_dialects import dialect_of_frame, optional_words, strict_list_of
from harness.scoring.score import SCORER_VERSION
from harness.values import Json, PixelLimits, ScoreConfig
from tasks.prompts import messages
from training.data.example import Example
from training.data.shapes import shapes_examples, shapes_profile
from training.data.store import read_examples
from training.probe.covariance import (
    Changes,
    Estimate,
    RewardFigures,
    compare_reward_sets,
    describe_claim,
    sum_components,
)
from training.probe.spec import BASELINE, CLAIMED_CHANGE, ENOUGH_PROMPTS, ProbeSpec, check_probe, parse_reward_sets
from training.stages.gradient_noise import MEASURES

if TYPE_CHECKING:
    from training.probe.policy_gradients import ProbeListener, Rollout

SCHEMA = 1
"""Version of `probe.json`."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found."""

    spec: ProbeSpec
    """What was asked."""
    figures: Mapping[str, tuple[RewardFigures, Changes | None]]
    """By reward set, in the order asked for: its figures, and its changes against the baseline."""
    manifest: Mapping[str, Json]
    """What the figures were made from: hashes, versions, sizes."""
    warnings: tuple[str, ...]
    """What a reader must know before believing the figures."""


def run_probe(spec: ProbeSpec, *, packages: Mapping[str, str], listener: ProbeListener) -> Probe:
    """Sample, score, differentiate and compare; write `probe.json` and `rollouts.jsonl` where asked.

    Args:
        spec: What to do. All its faults are reported together, before a model is loaded.
        packages: Versions for the manifest.
        listener: Hears the progress.

    Raises:
        ConfigError: the specification is wrong, the data do not have what it needs, or one sample does not fit into
            memory.
        CheckpointError: the checkpoint cannot be asked about images.
        DataError: the data cannot be read.
    """
    sets = parse_reward_sets(spec.reward_sets, spec.form)
    check_probe(spec)
    checkpoint = inspect_checkpoint(spec.checkpoint)
    config = _score_config(spec, checkpoint, sets)
    examples = choose_examples(read_data(spec), spec, {name for names in sets.values() for name in names})
    from harness.models.hf import SatoriHF  # noqa: PLC0415 - takes seconds to import, faults come first
    from training.probe.policy_gradients import (  # noqa: PLC0415 - the same
        prompt_gradients,
        reward_components,
        sample_rollouts,
    )

    model = SatoriHF(
        spec.checkpoint,
        device=spec.device,
        dtype=spec.dtype,
        batch_size=spec.batch_size,
        min_pixels=spec.min_pixels,
        max_pixels=spec.max_pixels,
        seed=spec.seed,
    )
    rollouts = sample_rollouts(model, examples, spec, config, listener)
    components = reward_components(rollouts)
    rewards = {name: sum_components(components, names) for name, names in sets.items()}
    gradients, sketch = prompt_gradients(model, examples, rollouts, rewards, spec, listener)
    figures = compare_reward_sets(gradients, BASELINE, seed=spec.seed, resamples=spec.resamples)
    manifest = {
        **_asked(spec, checkpoint, config),
        **_used(spec, examples, rollouts),
        "coordinates": sketch.coordinates,
        "dimension": sketch.dimension,
        "scorer_version": SCORER_VERSION,
        "packages": dict(packages),
    }
    probe = Probe(spec, figures, manifest, _warnings(spec, figures))
    if spec.out is not None:
        _save(probe, examples, rollouts, spec.out)
    return probe


def read_data(spec: ProbeSpec) -> Sequence[Example] | Iterator[Example]:
    """Return the examples that prompts are chosen from.

    Raises:
        ConfigError: `shapes:` names no profile.
        DataError: the file cannot be read.
    """
    profile = shapes_profile(spec.data)
    if profile is not None:
        # Tiny scenes repeat now and then, and each image counts once; generating is lazy, so room costs nothing.
        return shapes_examples(profile, 20 * spec.prompts, spec.seed)
    return read_examples(Path(spec.data))


def choose_examples(
    source: Sequence[Example] | Iterator[Example], spec: ProbeSpec, components: Iterable[str]
) -> list[Example]:
    """Choose M examples with different images and with the gold that the rewards need.

    A stored file is gone through in a random order; a generator, whose order is random already, as it comes.

    Raises:
        ConfigError: there are not enough, with the number of those that were left out and why.
    """
    wanted = set(components)
    chosen: list[Example] = []
    images: set[str] = set()
    left_out: Counter[str] = Counter()
    for example in _shuffled(source, spec.seed):
        if "bbox" in wanted and not example.boxes_image_px:
            left_out["without boxes (drop the reward sets with bbox)"] += 1
        elif "caption" in wanted and not (example.caption or "").strip():
            left_out["without a caption (drop the reward sets with caption)"] += 1
        elif example.image_sha256 in images:
            left_out["with an image that another one has (prompts must be independent)"] += 1
        else:
            images.add(example.image_sha256)
            chosen.append(example)
        if len(chosen) == spec.prompts:
            return chosen
    reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
    raise ConfigError(
        f"--data {spec.data}: only {len(chosen)} examples can be used, --prompts asks for {spec.prompts}"
        + (f". Left out: {reasons}" if reasons else "")
    )


def _shuffled(source: Sequence[Example] | Iterator[Example], seed: int) -> Iterator[Example]:
    """Yield the examples of a file in a random order, those of a generator as they come."""
    if isinstance(source, Iterator):
        yield from source
        return
    for row in np.random.default_rng(seed).permutation(len(source)):
        yield source[int(row)]


def _score_config(spec: ProbeSpec, checkpoint: Checkpoint, sets: Mapping[str, Sequence[str]]) -> ScoreConfig:
    """Return how completions are scored."""
    own = checkpoint.box_dialect
    dialect = dialect_of_frame(spec.box_frame) if spec.box_frame else own and strict_list_of(own)
    if dialect is None and spec.protocol != "paper" and any("bbox" in names for names in sets.values()):
        raise ConfigError(
            f"{checkpoint.path}: the frame in which {checkpoint.model_type} writes boxes is not known; give "
            "--box-frame, or drop the reward sets with bbox"
        )
    limits = override_limits(checkpoint, spec.min_pixels, spec.max_pixels)
    return ScoreConfig(protocol=spec.protocol, format=spec.form, box_dialect=dialect, pixel_limits=limits)


# --- what is said and kept ------------------------------------------------------------------------------------------


def probe_to_json(probe: Probe) -> dict[str, Json]:
    """Return the object of `probe.json`. A missing number is null with its reason beside it."""
    rows: list[Json] = []
    for name, (figures, changes) in probe.figures.items():
        row: dict[str, Json] = {"reward_set": name}
        row |= {key: _estimate(value) for key, value in _fields(figures)}
        row["change"] = None if changes is None else {key: _estimate(value) for key, value in _fields(changes)}
        row["claim"] = None
        if changes is not None:
            row["claim"] = {
                "trace": describe_claim(changes.trace, CLAIMED_CHANGE),
                "noise_to_signal": describe_claim(changes.noise_to_signal, CLAIMED_CHANGE),
            }
        rows.append(row)
    return {
        "schema": SCHEMA,
        "measure": "fixed_policy_probe",
        "measure_is": MEASURES["fixed_policy_probe"],
        "baseline": BASELINE,
        "claimed_change": CLAIMED_CHANGE,
        "prompts": probe.spec.prompts,
        "generations": probe.spec.generations,
        "rows": rows,
        "warnings": list(probe.warnings),
        "manifest": dict(probe.manifest),
    }


def _fields(figures: RewardFigures | Changes) -> list[tuple[str, Estimate]]:
    """Return the estimates by name."""
    return [(name, getattr(figures, name)) for name in type(figures).__dataclass_fields__]


def _estimate(estimate: Estimate) -> Json:
    """Return an estimate as an object."""
    return cast("dict[str, Json]", asdict(estimate))


def _asked(spec: ProbeSpec, checkpoint: Checkpoint, config: ScoreConfig) -> dict[str, Json]:
    """Return the settings; no time and no machine, so that the same inputs give the same bytes."""
    hashes = hash_checkpoint(checkpoint)
    return {
        "checkpoint": spec.checkpoint,
        "weights_hash": hashes.weights_hash,
        "config_hash": hashes.config_hash,
        "model_type": checkpoint.model_type,
        "seed": spec.seed,
        "temperature": spec.temperature,
        "max_new_tokens": spec.max_new_tokens,
        "format": spec.form,
        "protocol": spec.protocol,
        "box_dialect": optional_words(config.box_dialect),
        "pixel_limits": _limits(config.pixel_limits),
        "scale_rewards": spec.scale_rewards,
        "loss_type": spec.loss_type,
        "resamples": spec.resamples,
        "device": spec.device,
        "dtype": spec.dtype,
    }


def _used(spec: ProbeSpec, examples: Sequence[Example], rollouts: Sequence[Sequence[Rollout]]) -> dict[str, Json]:
    """Return what the data and the rollouts were."""
    tokens = [len(rollout.token_ids) for group in rollouts for rollout in group]
    asked = cast("Json", [messages(spec.form, example.question, "image") for example in examples])
    drawn = cast("Json", [[list(rollout.token_ids) for rollout in group] for group in rollouts])
    return {
        "data": spec.data,
        "data_hash": _data_hash(examples),
        "prompts_hash": hashlib.sha256(canonical_json(asked)).hexdigest(),
        "rollouts_hash": hashlib.sha256(canonical_json(drawn)).hexdigest(),
        "mean_tokens": sum(tokens) / len(tokens),
        "truncated": sum("truncated" in rollout.score.faults for group in rollouts for rollout in group),
    }


def _limits(limits: PixelLimits | None) -> Json:
    """Return pixel limits as an object."""
    return None if limits is None else cast("dict[str, Json]", asdict(limits))


def _data_hash(examples: Sequence[Example]) -> str:
    """Return the hex digest of the chosen examples in their order, images by their own digests."""
    digest = hashlib.sha256()
    for example in examples:
        row: list[Json] = [
            example.id,
            example.question,
            list(example.answers),
            example.image_sha256,
            example.caption,
            None if example.boxes_image_px is None else [list(box) for box in example.boxes_image_px],
        ]
        digest.update(canonical_json(row) + b"\n")
    return digest.hexdigest()


def _warnings(spec: ProbeSpec, figures: Mapping[str, tuple[RewardFigures, Changes | None]]) -> tuple[str, ...]:
    """Return what a reader must know before believing the figures."""
    said: list[str] = []
    if spec.prompts < ENOUGH_PROMPTS:
        said.append(
            f"{spec.prompts} prompts are fewer than {ENOUGH_PROMPTS}: the debiased signal may be lost in the noise "
            "(then there is no ratio), and intervals are wide"
        )
    for name, (found, _) in figures.items():
        if found.dead_share.value == 1:
            said.append(
                f"{name}: every group is dead (all completions of a prompt earn the same), so there is no gradient"
            )
        elif found.noise_to_signal.value is None:
            said.append(
                f"{name}: the debiased signal is not above 0, so there is no noise-to-signal ratio: take more prompts"
            )
    return tuple(said)


def _save(probe: Probe, examples: Sequence[Example], rollouts: Sequence[Sequence[Rollout]], out: Path) -> None:
    """Write both files, each whole or not at all; `probe.json` last, so that it says that the probe is finished."""
    lines = [
        {
            "id": example.id,
            "repeat": repeat,
            "text": rollout.text,
            "tokens": len(rollout.token_ids),
            "components": asdict(rollout.score.components),
            "faults": list(rollout.score.faults),
        }
        for example, group in zip(examples, rollouts, strict=True)
        for repeat, rollout in enumerate(group)
    ]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "rollouts.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        write_atomically(
            out / "probe.json", (json.dumps(probe_to_json(probe), indent=2, allow_nan=False) + "\n").encode()
        )
    except OSError as fault:
        raise ConfigError(f"--out {out}: cannot be written: {fault.strerror or fault}") from fault
