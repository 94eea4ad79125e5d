"""Call lmms-eval's evaluator for one prepared task, without its two thousand others and without its bars."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

_PROGRAM_SEED = 1234
"""What lmms-eval's command line seeds numpy, torch and few-shot draws with."""


def run_lmms_eval(model: object, lmms_task: object, *, seed: int, arguments: object = None) -> Mapping[str, Any] | None:
    """Let lmms-eval ask a model all of one task.

    Args:
        model: An lmms-eval model.
        lmms_task: A task object of lmms-eval, its data set in place.
        seed: For Python's random states, which lmms-eval sets.
        arguments: What its command line would hand to the task; None: nothing, as in a call from Python. numpy and
            torch begin with the command line's own 1234 where it is given.

    Returns:
        Its results; None in a process that is not the first of several.
    """
    from lmms_eval.evaluator import (  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - heavy, and untyped
        simple_evaluate,  # pyright: ignore[reportUnknownVariableType] - the same
    )
    from lmms_eval.tasks import TaskManager  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - see above

    with _without_bars():
        return cast(
            "Mapping[str, Any] | None",
            simple_evaluate(
                model=model,
                tasks=[lmms_task],
                # without a manager of its own it would index the two thousand tasks that lmms-eval ships, every time
                task_manager=TaskManager("ERROR", include_defaults=False),
                bootstrap_iters=0,
                log_samples=False,
                random_seed=seed,
                numpy_random_seed=seed if arguments is None else _PROGRAM_SEED,
                torch_random_seed=seed if arguments is None else _PROGRAM_SEED,
                fewshot_random_seed=seed if arguments is None else _PROGRAM_SEED,
                process_docs_parallel=1,
                cli_args=cast("Any", arguments),
            ),
        )


@contextmanager
def _without_bars() -> Generator[None]:
    """Keep lmms-eval's own bars out of our progress; it switches them on whatever the environment says."""
    import tqdm  # noqa: PLC0415 - see `run_lmms_eval`
    from lmms_eval import evaluator  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - see `run_lmms_eval`
    from lmms_eval.api import task as task_module  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - the same

    bar = cast("Callable[..., object]", tqdm.tqdm)

    def silent_bar(*args: object, **kwargs: object) -> object:
        return bar(*args, **{**kwargs, "disable": True})

    modules = (cast("Any", evaluator), cast("Any", task_module))
    before = [module.tqdm for module in modules]
    for module in modules:
        module.tqdm = silent_bar
    try:
        yield
    finally:
        for module, original in zip(modules, before, strict=True):
            module.tqdm = original
