"""Say what a loop would do, step by step, and whether this machine can: nothing is loaded, downloaded or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.catalog import resolve_tasks
from training.loop.plan import BenchmarkStep, DataPaths, Plan, TrainStep, plan_loop
from training.loop.settings import LoopSettings
from training.stages.launch import plan_memory, resolved_arguments, step_algebra
from training.stages.machine import Machine, machine_faults
from training.stages.model_shape import ModelShape, model_shape


@dataclass(frozen=True, slots=True)
class LoopOutlook:
    """What a loop would do."""

    steps: tuple[tuple[str, ...], ...]
    """In the order in which they would be done: a heading, then what to know of it."""
    notes: tuple[str, ...]
    """What this machine lacks."""
    fits: bool | None
    """Whether a GPU has room for every stage; None on the CPU, and where the model's sizes are not known."""

    def to_json(self) -> dict[str, Any]:
        """Return the versioned JSON object."""
        steps = [{"name": heading, "facts": list(facts)} for heading, *facts in self.steps]
        return {"schema": 1, "steps": steps, "notes": list(self.notes), "fits": self.fits}


def outlook(settings: LoopSettings, machine: Machine) -> LoopOutlook:
    """Lay a loop out.

    Raises:
        ConfigError: Model, data or benchmark are not there, or TRL refuses a stage's settings.
    """
    resolve_tasks(settings.benchmark.tasks)
    # the data are read where they are: what comes from Shapes is not drawn
    plan = plan_loop(settings, DataPaths(settings.data.sft, settings.data.grpo))
    shape = model_shape(settings.model)
    memory = {
        step.run: plan_memory(step.settings, shape, machine) for step in plan.steps if isinstance(step, TrainStep)
    }
    faults = [
        fault for step in plan.steps if isinstance(step, TrainStep) for fault in machine_faults(step.settings, machine)
    ]
    known = [part.fits for part in memory.values() if part.fits is not None]
    return LoopOutlook(
        steps=tuple(_steps(plan, settings, shape, machine)),
        notes=tuple(f"this machine cannot run it: {fault}" for fault in dict.fromkeys(faults)),
        fits=all(known) if known else None,
    )


def _steps(plan: Plan, settings: LoopSettings, shape: ModelShape | None, machine: Machine) -> Iterator[tuple[str, ...]]:
    """Yield each step's heading with what to know of it."""
    for number, step in enumerate(plan.steps, start=1):
        place = f"[{number}/{len(plan.steps)}] {step.name}"
        if isinstance(step, BenchmarkStep):
            yield (f"{place}: {settings.benchmark.tasks} asked of {step.checkpoint}",)
            continue
        chosen = step.settings
        resolved_arguments(chosen)
        yield (
            f"{place}: {chosen.data} taught to {chosen.model}, into {chosen.output}"
            if chosen.stage == "sft"
            else f"{place}: {chosen.model} rewarded on {chosen.data}, into {chosen.output}",
            *step_algebra(chosen),
            *plan_memory(chosen, shape, machine).lines,
        )
