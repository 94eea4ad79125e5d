"""Ask a finished run's questions again about edited pictures: `probe`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Literal

from harness.errors import ConfigError
from harness.installation import require_imports
from harness.probes.before_asking import Key, before_asking
from harness.probes.probe_records import PROBE_SCORES_NAME, PROBES_NAME, ProbeRecord, probe_lines
from harness.probes.probe_summary import ProbeSummary, probe_scores, summarise_probes
from harness.probes.probed_sample import ProbedSample, probed_sample
from harness.probes.probed_text import probe_record
from harness.probes.sample_scores import Form
from harness.probes.variants import ProbePlan
from harness.runs.manifest import config_of
from harness.runs.store import add_files, scores_bytes
from harness.scoring.formats import MARKED, marked_format
from harness.values import Box, Generation, Json, ScoreConfig
from tasks.asked_again import AskedRun, AskedSample, open_asked_run, picked
from tasks.doctor import MODEL_PARTS, RUN_PARTS
from tasks.other_objects import other_objects
from tasks.pasted_regions import paste_for
from tasks.probe_requests import ProbedAsk, Request
from tasks.probe_work import Answered, ProbeWork, probe_work
from tasks.run_spec import RunEnvironment, refuse_to_send_key
from tasks.run_subject import load_model

_WEIGH = frozenset({"hf", "vllm"})
"""Backends that give probabilities."""
Contrast = Literal["objects", "none"]
"""Whether what a question does not ask about is removed as well, where it is known."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """What is probed."""

    folder: Path
    """The finished run."""
    plan: ProbePlan = field(default_factory=ProbePlan)
    """What is asked of every sample."""
    contrast: Contrast = "objects"
    """Which harder control is asked."""
    score: Form | None = None
    """`same` asks for no probabilities; None takes them where the backend has them."""
    limit: int | None = None
    """Samples that are probed, drawn by a hash; None: all."""
    changes: tuple[tuple[str, object], ...] = ()
    """Fields of the run's configuration that are others here: where the model and its data lie, and what asks it."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found."""

    folder: Path
    """The run, which has the files now."""
    summary: dict[str, ProbeSummary]
    """By task."""


def probe_run(spec: ProbeSpec, environment: RunEnvironment) -> Probed:
    """Ask a run's questions about edited pictures, and put what comes of it beside the run.

    `probes.jsonl` has a line an edited picture, `probes.json` the scores. A probe that was killed goes on.

    Raises:
        UserError: The run cannot be probed, or probabilities are asked of a backend that has none.
    """
    changes = dict(spec.changes)
    if changes.get("backend", "openai") != "openai":
        changes = {"base_url": None, "served_name": None, **changes}  # no server's any more
    run = open_asked_run(spec.folder, changes)
    _check(spec, run)
    refuse_to_send_key(run.spec, spec.folder, environment, given=bool(changes.get("base_url")))
    config = config_of(run.stored.manifest)
    samples = picked(run.samples, spec.limit, spec.plan.seed)
    others = other_objects([one.record for one in run.samples]) if spec.contrast == "objects" else {}
    asked = [_asked(sample, spec.plan, config, others) for sample in samples]
    requests = _by_size([Request(one, variant) for one in asked for variant in one.before.variants])
    if not requests:
        raise ConfigError(f"{spec.folder} has nothing to probe: {_why_not(asked)}")
    with probe_work(spec.folder, _digest(run)) as work:
        answers = _ask(run, requests, work, spec, environment)
        probed = [_probed(one, answers, config) for one in asked]
        summary = summarise_probes(probed, spec.plan)
        told: dict[str, Json] = {
            "limit": spec.limit,
            "samples_of_run": len(run.samples),
            "contrast": spec.contrast,
            "backend": run.spec.backend,
        }
        add_files(
            spec.folder,
            {
                PROBES_NAME: probe_lines(record for one in probed for record in one.records),
                PROBE_SCORES_NAME: scores_bytes(probe_scores(summary, probed, spec.plan, told=told)),
            },
        )
    return Probed(spec.folder, summary)


def _check(spec: ProbeSpec, run: AskedRun) -> None:
    """Refuse what would give numbers that say nothing.

    Raises:
        ConfigError: it would.
    """
    if run.spec.temperature > 0:
        raise ConfigError(
            f"{spec.folder} was sampled (temperature {run.spec.temperature:g}): its answers change by chance alone. "
            "Make a greedy run of the same model and probe that"
        )
    if spec.score == "p" and run.spec.backend not in _WEIGH:
        raise ConfigError(f"--score p: backend {run.spec.backend} gives no probabilities; leave it out, or give same")
    if spec.plan.steps:
        form = marked_format(run.spec.form)
        if form is None or not form.has_steps:
            raise ConfigError(
                f"--steps: {spec.folder} was asked in a format without steps; "
                f"{', '.join(name for name, row in MARKED.items() if row.has_steps)} have them"
            )
        if "remove" not in spec.plan.operations:
            raise ConfigError("--steps removes what each step looked at: leave remove in --ops")
    if (run.spec.backend == "openai") != (run.spec.base_url is not None):
        raise ConfigError(
            "--backend openai needs --base-url, the root of the server's API"
            if run.spec.backend == "openai"
            else "--base-url needs --backend openai, as no server was asked"
        )


def _asked(sample: AskedSample, plan: ProbePlan, config: ScoreConfig, others: Mapping[Key, Sequence[Box]]) -> ProbedAsk:
    """Return what is asked of a sample, or why nothing is."""
    own = sample.record.sample
    unasked = others.get((own.task, own.id), ())
    return ProbedAsk(sample, before_asking(sample.record, config, plan, unasked, paste_for))


def _why_not(asked: Sequence[ProbedAsk]) -> str:
    statuses = sorted({one.before.status for one in asked})
    return f"its samples are {', '.join(statuses)}" if statuses else "it has no samples"


def _by_size(requests: Sequence[Request]) -> list[Request]:
    """Return requests so that those about pictures of one size follow each other; equal ones once."""
    once = {request.key: request for request in requests}

    def pixels(request: Request) -> tuple[int, int]:
        assert request.asked.before.question is not None, "it has variants"
        size = request.asked.before.question.size
        return -size.width * size.height, size.width

    return sorted(once.values(), key=pixels)


def _digest(run: AskedRun) -> str:
    """Return a hash of what answers depend on: the run's own answers, its model and how it was asked."""
    digest = hashlib.sha256(run.stored.manifest.run_key.encode())
    digest.update(f"\0{run.subject.hashes.weights_hash}\0{run.spec.backend}".encode())
    for one in run.samples:
        told = (one.record.sample.id, one.record.generation.text)
        digest.update(repr(told).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _ask(
    run: AskedRun, requests: Sequence[Request], work: ProbeWork, spec: ProbeSpec, environment: RunEnvironment
) -> Mapping[str, Answered]:
    """Return what the model wrote to each request, of those that an earlier start answered too."""
    with_p = run.spec.backend in _WEIGH and spec.score != "same" and environment.load_model is None
    left = [
        request
        for request in requests
        if request.key not in work.answered or (with_p and not work.answered[request.key].is_scored)
    ]
    whose = len({request.asked.sample.record.key for request in requests})
    beside = ", and one forward for its probability" if with_p else "; a server gives answers and no probabilities"
    environment.say(
        f"{len(requests)} questions about edited pictures of {whose} samples, {len(requests) - len(left)} of them "
        f"answered already; each costs what a sample of the run did{_pace(run, len(left))}"
        f"{beside if with_p or run.spec.backend == 'openai' else ''}"
    )
    if not left:
        return work.answered
    require_imports([*RUN_PARTS, MODEL_PARTS[run.spec.backend]], "probe")
    from tasks.probe_asking import ask_all  # noqa: PLC0415 - imports torch and lmms-eval

    given = environment.load_model
    model = load_model(run.spec, environment, run.subject) if given is None else given(run.spec)
    try:
        ask_all(model, run, left, work, environment, with_p=with_p)
    finally:
        if given is None:  # whoever gives a model may go on with it
            model.close()
    return work.answered


def _pace(run: AskedRun, requests: int) -> str:
    """Say how long so many requests take at the pace of the run; nothing where it is not known."""
    seconds = [one.record.generation.device_s for one in run.samples if one.record.generation.device_s]
    if not seconds:
        return ""
    return f", {requests * sum(seconds) / len(seconds) / 60:.1f} minutes at its pace"


def _probed(asked: ProbedAsk, answers: Mapping[str, Answered], config: ScoreConfig) -> ProbedSample:
    """Return what came of a sample."""
    question = asked.before.question
    records: list[ProbeRecord] = []
    if question is not None:
        for variant in asked.before.variants:
            answer = answers[Request(asked, variant).key]
            written = Generation(answer.text, truncated=answer.truncated, error=answer.error)
            p = None if answer.logp_original is None else exp(answer.logp_original)
            records.append(probe_record(question, variant, written, config, p))
    return probed_sample(asked.sample.record, asked.before, records)
