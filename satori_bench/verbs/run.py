"""`run`: evaluate a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import (
    Amount,
    ModelText,
    SampleCount,
    boxes_option,
    data_option,
    dataset_option,
    json_option,
    out_option,
    page_option,
    prompt_options,
    score_options,
)
from satori_bench.showing import name_page, show_incomplete, show_reasons, warn
from satori_bench.surroundings import quiet_libraries, run_environment
from satori_bench.verb import Verb
from satori_bench.verbs.presets import with_preset

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.evaluation.llm_judge import Judge
    from harness.models.interruption import Interruption
    from harness.values import BoxDialect
    from reports.terminal.progress import RunProgress
    from satori_bench.several import Sharded
    from tasks.ray_workers import RayPlan
    from tasks.run import RunResult
    from tasks.run_spec import RunEnvironment, RunSpec


KEY_VARIABLES = ("SATORI_BENCH_API_KEY", "SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY", "HF_TOKEN")
"""Where keys may lie, also those that a run does not use: a server must not put one into its records."""

_OF_A_MODEL_HERE = ("attn_implementation", "chat_template", "trust_remote_code")
"""Options of a model that is loaded here."""

_OF_RAY = ("address", "workers", "worker_cpus", "worker_gpus", "parts", "node_timeout")
"""Options of `--engine ray`."""


@click.command(cls=Verb)
@click.option(
    "--model",
    "models",
    type=ModelText(),
    multiple=True,
    help="Checkpoint folder, hub id, or LoRA adapter folder; may be repeated. A folder of `checkpoint-N` is all.",
)
@click.option("--preset", metavar="NAME", help="Settings of a published number to repeat (presets list).")
@click.option("--tasks", default="core", show_default=True, help="Tasks, groups (core, all), YAML files; by commas.")
@score_options
@prompt_options
@click.option(
    "--backend",
    type=click.Choice(["hf", "vllm", "openai"]),
    default="hf",
    show_default=True,
    help="What runs the model: transformers or vLLM here, or an OpenAI-compatible server (vLLM, SGLang, hosted).",
)
@click.option(
    "--tensor-parallel",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="GPUs that vLLM cuts the model over.",
)
@click.option(
    "--gpu-memory",
    type=Amount(0, 1, min_open=True),
    default=0.9,
    show_default=True,
    help="Share of each GPU's memory that vLLM takes.",
)
@click.option("--base-url", help="Root of the server's API, such as http://localhost:8000/v1.")
@click.option("--served-name", help="What the server calls the model; default: as --model.")
@click.option("--api-key", envvar=["SATORI_BENCH_API_KEY", "OPENAI_API_KEY"], help="Its key.", show_default=False)
@click.option("--concurrency", type=click.IntRange(1), help="Requests at once, at most; default: as a server likes.")
@click.option(
    "--request-timeout",
    "request_timeout_s",
    type=Amount(0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a request to a server may take as a whole; then its sample is null.",
)
@click.option("--allow-rerouting", is_flag=True, help="Take replies of another model than the first; records name it.")
@click.option("--extra-body", metavar="JSON", help="Further fields of each request to a server, as a JSON object.")
@click.option(
    "--chat-template-kwargs",
    metavar="JSON",
    help="Variables of the chat template, here or at the server, such as '{\"enable_thinking\": false}'.",
)
@click.option(
    "--chat-template",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Jinja chat template in place of the checkpoint's own, such as the task prompt of a model that never had one.",
)
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the checkpoint.")
@click.option("--decoding", type=click.Choice(["greedy", "sampled"]), default="greedy", show_default=True)
@click.option("--temperature", type=Amount(0, min_open=True), help="For sampled decoding; default 1.0.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Token budget of an answer; default: the task's own.")
@click.option("--limit", type=SampleCount(), help="At most about N samples a task, in whole clusters.")
@click.option(
    "--num-processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Ask in so many processes of this machine, each with a device of its own, and make one run of it.",
)
@click.option(
    "--limit-seed", type=click.IntRange(0), help="Draw --limit's clusters by a hash; default: the first ones."
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who has the run asked: this machine, or the workers of a Ray cluster, shard by shard.",
)
@click.option(
    "--address", metavar="ADDRESS", help="The Ray cluster's: auto, or HOST:PORT; default: this machine's own."
)
@click.option("--workers", type=click.IntRange(1), help="Ray actors; default: one a GPU, without GPUs one a node.")
@click.option("--worker-cpus", type=Amount(0, min_open=True), help="CPUs of a worker; default: its share.")
@click.option("--worker-gpus", type=Amount(0), help="GPUs of a worker, 0.5 for two on one; default: 1 if any.")
@click.option("--parts", metavar="URL", help="Where workers leave shards if nodes share no folder: s3://bucket/parts.")
@click.option("--node-timeout", type=Amount(0), help="Seconds to wait for a node that a worker fits on.")
@click.option("--shard", metavar="I/N", help="Ask part I of N, in whole clusters; `runs merge` makes one run of all N.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--batch-size", default="auto", show_default=True, help="Samples at once; auto halves on out-of-memory.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", default="auto", show_default=True)
@click.option("--attn-implementation", metavar="NAME", help="Such as sdpa or eager; default: left to transformers.")
@dataset_option
@data_option
@boxes_option
@click.option(
    "--blind",
    type=click.Choice(["none", "grey"]),
    is_flag=False,
    flag_value="none",
    help="Ask without the pictures, to see what a score owes to words alone; `grey` shows an even grey picture, for "
    "families that take no question without one.",
)
@click.option("--tool", type=click.Choice(["zoom"]), help="Show the model the regions that it calls for, and ask on.")
@click.option(
    "--tool-turns",
    type=click.IntRange(1, 32),
    default=6,
    show_default=True,
    help="Replies of the tool to one question.",
)
@out_option
@click.option("--name", help="Names the run's folder in place of the model, and finds the run again.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with a killed run of equal input.")
@click.option("--again", is_flag=True, help="Make a new run though an equal one is finished.")
@click.option("--retry", metavar="RUN", help="Re-ask what stayed unscored in a run.")
@click.option("--thumbnails/--no-thumbnails", default=True, show_default=True)
@page_option
@click.option("--judge", help="Judge model for what rules cannot decide (optional).")
@click.option("--judge-url", help="Root of its OpenAI-compatible API.")
@click.option("--judge-key", envvar=["SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY"], help="Its key.", show_default=False)
@json_option
@click.pass_context
def run(ctx: click.Context, as_json: bool, retry: str | None, again: bool, page: bool, **options: Any) -> int:
    """Evaluate a checkpoint, or several one after the other; leave run folders, a table and pages.

    Of several, each is asked the same in a run of its own; one that fails is told and the others go on. Exit code 5
    says that one failed or stayed incomplete.

    RUN is a run folder, a run's name or its unique beginning, or `latest`; so it is for every verb.
    """
    quiet_libraries(debug=ctx.obj["debug"])
    from dataclasses import replace

    from harness.models.interruption import Interruption
    from reports.terminal.progress import RunProgress
    from satori_bench.several import outcomes_of, show_outcomes
    from tasks.run import retry_run, run_benchmarks

    with Interruption() as interruption:
        surroundings = surroundings_of(options, interruption, page=page)
        if retry is not None:
            from harness.runs.lookup import find_run

            with RunProgress(sys.stderr) as progress:
                old = find_run(retry, options["out"])
                result = retry_run(old, surroundings(progress), _retry_changes(ctx, options))
            return _show_run(result, as_json=as_json, preset=options["preset"])
        options = with_preset(ctx, options)
        spec, models = run_spec(options), models_asked(options)
        by_shards = sharded(spec, options)
        if len(models) > 1:
            outcomes = list(outcomes_of(spec, models, surroundings, by_shards, again=again))
            return show_outcomes(outcomes, seed=spec.seed, as_json=as_json)
        spec = replace(spec, model=models[0])
        with RunProgress(sys.stderr) as progress:
            environment = surroundings(progress)
            if by_shards is None:
                result = run_benchmarks(spec, environment, again=again)
            else:
                result = by_shards(spec, environment, again)
    return _show_run(result, as_json=as_json, preset=options["preset"])


def surroundings_of(
    options: dict[str, Any], interruption: Interruption, *, page: bool
) -> Callable[[RunProgress], RunEnvironment]:
    """Return what makes a run's surroundings out of whoever shows its progress."""
    from dataclasses import replace

    known = (options["api_key"], options["judge_key"], *(os.environ.get(name) for name in KEY_VARIABLES))

    def made(progress: RunProgress) -> RunEnvironment:
        environment = run_environment(progress, interruption, page=page)
        return replace(
            environment,
            api_key=options["api_key"] or environment.api_key,
            secrets=tuple(key for key in known if key),
        )

    return made


def sharded(spec: RunSpec, options: dict[str, Any]) -> Sharded | None:
    """Return what has a run asked shard by shard, by processes or by Ray; None where this process asks all of it.

    Raises:
        ConfigError: An option is for Ray alone.
    """
    plan = _ray_plan(options)
    if plan is not None:
        from tasks.ray_workers import run_by_ray

        return lambda one, around, again: run_by_ray(one, around, plan, again=again)
    if spec.processes > 1:
        from tasks.processes import run_by_processes

        return lambda one, around, again: run_by_processes(one, around, again=again)
    return None


def _ray_plan(options: dict[str, Any]) -> RayPlan | None:
    """Return how Ray is to ask the run; None where it is not.

    Raises:
        ConfigError: An option is for Ray alone.
    """
    given = [name for name in _OF_RAY if options[name] is not None]
    if options["engine"] == "ray":
        from tasks.ray_workers import RayPlan

        return RayPlan(
            address=options["address"],
            workers=options["workers"],
            cpus=options["worker_cpus"],
            gpus=options["worker_gpus"],
            parts=options["parts"],
            wait_s=options["node_timeout"] or 0.0,
        )
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{flags}: for --engine ray alone; processes of this machine are --num-processes")
    return None


def _retry_changes(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the command line gives beside --retry; what would ask something else is refused."""
    from tasks.run_spec import RETRY_MAY_CHANGE

    given = {
        option.name: option.opts[0]
        for option in ctx.command.params
        if option.name in options and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    }
    may_change = {*RETRY_MAY_CHANGE, "api_key", "judge", "judge_url", "judge_key"}
    barred = [flag for name, flag in given.items() if name not in may_change]
    if barred:
        raise ConfigError(
            f"--retry asks with the run's own configuration: leave out {', '.join(barred)}, or make a new run"
        )
    # The address also counts where a variable or the configuration gives it: a key goes to no other.
    given |= {"base_url": "--base-url"} if options["base_url"] else {}
    changes = {name: options[name] for name in given if name in RETRY_MAY_CHANGE}
    return changes | {"judge": _judge(options)}


def models_asked(options: dict[str, Any]) -> list[str]:
    """Return the models that the options name, and say which checkpoints are passed over."""
    from time import time

    from tasks.checkpoint_folders import models_of

    if options["backend"] == "openai":
        return list(options["models"])
    found = models_of(options["models"], time())
    if len(found.names) > 1 and options["preset"] is not None:
        raise ConfigError("--preset holds one model against published numbers: give one --model")
    for line in found.passed_over:
        say(line, sys.stderr)
    return list(found.names)


def run_spec(options: dict[str, Any]) -> RunSpec:
    """Build the configuration of a run of the first model; its faults are reported together."""
    from harness.models.extra_fields import check_extra_body, check_template_kwargs, read_json_object
    from harness.scoring.own_format import format_given
    from tasks.prompts import given_words
    from tasks.run_spec import RunSpec, parse_dataset_overrides
    from tasks.shards import shard_of

    faults = _option_faults(options)
    if faults:
        raise ConfigError("; ".join(faults))
    extra_body = read_json_object(options["extra_body"], "--extra-body")
    check_extra_body(extra_body)
    template_kwargs = read_json_object(options["chat_template_kwargs"], "--chat-template-kwargs")
    check_template_kwargs(template_kwargs)
    return RunSpec(
        model=options["models"][0],
        preset=options["preset"],
        tasks=options["tasks"],
        backend=options["backend"],
        tensor_parallel=options["tensor_parallel"],
        gpu_memory=options["gpu_memory"],
        base_url=options["base_url"],
        served_name=options["served_name"],
        concurrency=options["concurrency"],
        request_timeout_s=options["request_timeout_s"],
        allow_rerouting=options["allow_rerouting"],
        extra_body=extra_body,
        chat_template_kwargs=template_kwargs,
        form=format_given(options["form"]),
        prompt=options["prompt"],
        system_prompt=given_words(options["system_prompt"], "--system-prompt"),
        prompt_suffix=given_words(options["prompt_suffix"], "--prompt-suffix"),
        protocol=options["protocol"],
        box_dialect=_declared(options),
        min_pixels=options["min_pixels"],
        max_pixels=options["max_pixels"],
        trust_remote_code=options["trust_remote_code"],
        chat_template=options["chat_template"],
        max_new_tokens=options["max_new_tokens"],
        temperature=(options["temperature"] or 1.0) if options["decoding"] == "sampled" else 0.0,
        limit=options["limit"],
        limit_seed=options["limit_seed"],
        processes=options["num_processes"],
        shard=None if options["shard"] is None else shard_of(options["shard"]),
        seed=options["seed"],
        batch_size=options["batch_size"],
        device=options["device"],
        dtype=options["dtype"],
        attn_implementation=options["attn_implementation"],
        datasets=parse_dataset_overrides(options["datasets"]),
        data_dir=options["data_dir"],
        boxes=options["boxes"],
        blind=options["blind"],
        tool=options["tool"],
        tool_turns=options["tool_turns"],
        out=options["out"],
        name=options["name"],
        resume=options["resume"],
        thumbnails=options["thumbnails"],
        judge=_judge(options),
    )


def _option_faults(options: dict[str, Any]) -> list[str]:
    """Name every option that is missing or does not go with another."""
    from harness.models.device_options import device_option_faults
    from harness.models.vllm_options import DEFAULT_GPU_MEMORY

    faults: list[str] = []
    if not options["models"]:
        faults.append("--model is missing: a checkpoint folder, a hub id or an adapter folder")
    if options["temperature"] is not None and options["decoding"] == "greedy":
        faults.append("--temperature needs --decoding sampled: greedy decoding has none")
    if options["min_pixels"] and options["max_pixels"] and options["min_pixels"] > options["max_pixels"]:
        faults.append(f"--min-pixels {options['min_pixels']} is greater than --max-pixels {options['max_pixels']}")
    if options["judge"] and not options["judge_key"] and not options["judge_url"]:
        faults.append("--judge needs a key (--judge-key or OPENAI_API_KEY) or --judge-url of a local server")
    if options["backend"] == "openai" and not options["base_url"]:
        faults.append("--backend openai needs --base-url, the root of the server's API")
    if options["backend"] != "openai" and (options["base_url"] or options["served_name"]):
        faults.append("--base-url and --served-name need --backend openai")
    if options["backend"] != "vllm" and (
        options["tensor_parallel"] != 1 or options["gpu_memory"] != DEFAULT_GPU_MEMORY
    ):
        faults.append("--tensor-parallel and --gpu-memory need --backend vllm")
    if options["backend"] == "vllm" and options["attn_implementation"]:
        faults.append("--attn-implementation is for --backend hf: vLLM chooses its own")
    here_alone = [name for name in _OF_A_MODEL_HERE if options["backend"] == "openai" and options[name]]
    faults += [f"--{name.replace('_', '-')} is for --backend hf: a server has its own" for name in here_alone]
    faults += device_option_faults(
        options["device"], options["dtype"], options["batch_size"], options["attn_implementation"]
    )
    if options["backend"] != "openai" and (options["extra_body"] or options["allow_rerouting"]):
        faults.append("--extra-body and --allow-rerouting need --backend openai: they are about requests to a server")
    return faults


def _declared(options: dict[str, Any]) -> BoxDialect | None:
    """Return the box dialect that the options declare; None leaves it to the checkpoint's family."""
    from harness.scoring.box_dialects import declared_dialect

    words = None if options["box_dialect"] == "auto" and options["box_frame"] is None else options["box_dialect"]
    return declared_dialect(words, options["box_frame"])


def _judge(options: dict[str, Any]) -> Judge | None:
    """Return the judge that the options name; None where they name none."""
    from harness.evaluation.llm_judge import Judge

    if not options["judge"]:
        return None
    return Judge(
        model=options["judge"],
        base_url=options["judge_url"],
        api_key=options["judge_key"] or "none",
        timeout_s=options["request_timeout_s"],
    )


def _show_run(result: RunResult, *, as_json: bool, preset: str | None) -> int:
    """Print a run's result, and what it made of a preset; return the exit code."""
    from harness.scoring.formats import format_name
    from reports.terminal.tables import run_table, write

    if as_json:
        say_json({**result.summary.to_json(), "run": str(result.folder)}, sys.stdout)
    else:
        config = result.summary.config
        title = f"{result.model} · format {format_name(config.format)} · protocol {result.summary.protocol_version}"
        write(run_table(list(result.summary.tasks.values()), result.wall_s, title), sys.stdout)
        show_reasons(result.summary.tasks)
        say(f"run: {result.folder}", sys.stdout)
    if preset is not None:
        _show_reproduction(result, preset, to_stderr=as_json)
    name_page(result.folder, to_stderr=as_json)
    warn(result.summary)
    if not result.summary.is_complete:
        show_incomplete(result)
        return ExitCode.INCOMPLETE
    return ExitCode.OK


def _show_reproduction(result: RunResult, preset: str, *, to_stderr: bool) -> None:
    """Say whether a published number was reproduced, and where the run differs from what gave it."""
    from harness.runs.store import load_run
    from reports.board.reproduction import preset_named, reproduction
    from reports.terminal.tables import write_line

    manifest = load_run(result.folder).manifest
    for line in reproduction(preset_named(preset), manifest, result.summary.tasks).lines:
        write_line(line, sys.stderr if to_stderr else sys.stdout)
