"""`presets`: published numbers that a run can be held against."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import json_option
from satori_bench.verb import Verb, Verbs

if TYPE_CHECKING:
    from reports.board.reproduction import Preset


@click.group(cls=Verbs)
def presets() -> None:
    """Published numbers to repeat: what to run (`run --preset NAME`), and what it should give."""


@presets.command("list", cls=Verb)
@json_option
def presets_list(as_json: bool) -> int:
    """List presets; nobody here has run them."""
    from reports.board.reproduction import mark
    from reports.board.reproduction import presets as all_presets

    if as_json:
        found = {name: _as_json(preset) for name, preset in all_presets().items()}
        say_json({"schema": 1, "mark": mark(), "presets": found}, sys.stdout)
        return ExitCode.OK
    width = max(map(len, all_presets()))
    for name, preset in all_presets().items():
        left = len(preset.figures) - len(preset.tasks)
        more = f" ({left} more that nobody here can ask)" if left else ""
        say(f"{name:<{width}}  {', '.join(preset.tasks)}{more}", sys.stdout)
    say(mark(), sys.stdout)
    return ExitCode.OK


@presets.command("show", cls=Verb)
@click.argument("name")
@json_option
def presets_show(name: str, as_json: bool) -> int:
    """Show one: settings, figures with tolerance and source, cautions."""
    from reports.board.reproduction import mark, preset_named

    preset = preset_named(name)
    if as_json:
        say_json({"schema": 1, "mark": mark(), **_as_json(preset)}, sys.stdout)
        return ExitCode.OK
    say(f"{preset.name}: {mark()}", sys.stdout)
    say(f"  {'model':<15} {preset.settings.get('model', 'yours: --model names it')}", sys.stdout)
    for setting, value in preset.settings.items():
        if setting != "model":
            say(f"  {setting:<15} {value}", sys.stdout)
    for figure in preset.figures:
        here = "" if figure.is_here else ", which nobody here can ask"
        told = f"{figure.value:g} ± {figure.tolerance:g} (source: {figure.source}){here}"
        say(f"  {figure.task} {figure.metric}: {told}", sys.stdout)
    for line in (f"settings: {preset.how}", *(f"caution: {caution}" for caution in preset.cautions)):
        say(f"  {line}", sys.stdout)
    return ExitCode.OK


def _as_json(preset: Preset) -> dict[str, Any]:
    return {**asdict(preset), "tasks": list(preset.tasks)}


def with_preset(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Return a run's options with those of its preset where no flag, variable or file gives another.

    Raises:
        ConfigError: There is no preset of that name.
    """
    if options.get("preset") is None:
        return options
    from reports.board.reproduction import preset_named

    preset = preset_named(options["preset"])
    wanted: dict[str, Any] = {"tasks": ",".join(preset.tasks), **preset.settings}
    if "model" in wanted:
        wanted["models"] = (wanted.pop("model"),)
    unset = {ParameterSource.DEFAULT, None}
    taken = {name: value for name, value in wanted.items() if ctx.get_parameter_source(name) in unset}
    return {**options, **taken, "preset": preset.name}
