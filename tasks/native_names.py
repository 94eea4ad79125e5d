"""Find tasks of lmms-eval's own by name, group or tag, or in a YAML file, with their whole configuration.

What a configuration names is imported here, before any model is loaded: a module that wants a package or a key fails
now. Nothing of a task's data is touched yet.
"""

# lmms-eval has no stubs; what is used of it is annotated there.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import dis
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from harness.errors import ConfigError, did_you_mean
from harness.installation import require_extra
from harness.task_facts import FACTS

if TYPE_CHECKING:
    from lmms_eval.tasks import TaskManager

_KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "DASHSCOPE_API_KEY")
"""Variables in which judges of lmms-eval's tasks look for a key."""

_CALLERS = ("openai", "requests", "anthropic", "dashscope", "lmms_eval.llm_judge", "lmms_eval.verifiers.openai")
"""Modules by which a scorer asks somebody else."""

_OWN_CODE = ("lmms_eval.tasks",)
_MOST_FUNCTIONS = 500
"""So many functions of a scorer are looked through, each once."""


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task of lmms-eval's own that was found."""

    name: str
    """As lmms-eval calls it."""
    config: Mapping[str, Any]
    """Its whole configuration, with what it includes, its functions imported."""
    yaml_path: Path
    """The YAML file."""

    @property
    def code_hash(self) -> str:
        """Hex digest of the configuration and of the files that its functions stand in."""
        digest = hashlib.sha256(_written(self.config).encode(errors="surrogatepass"))
        for file in sorted({file for function in _functions_in(self.config) if (file := _file_of(function))}):
            digest.update(Path(file).read_bytes())
        return digest.hexdigest()


def find_tasks(name: str) -> list[FoundTask]:
    """Return the tasks that a name of lmms-eval's own means: a task, or those of a group or a tag.

    Raises:
        ConfigError: There is no such name, or a task's functions cannot be imported.
    """
    require_extra("run", "run --tasks lmms:NAME")
    manager = _manager()
    if name not in manager.task_index:
        near = did_you_mean(name, list(manager.all_tasks))
        raise ConfigError(
            f"lmms-eval {_version()} has no task, group or tag {name!r}.{near} See them all with: lmms-eval tasks list"
        )
    found = {task.name: task for task in _members(manager, name, {}, ())}
    return list(found.values())


def read_task_file(path: Path) -> list[FoundTask]:
    """Return the task that a YAML file of lmms-eval's kind describes, or those of a group.

    Raises:
        ConfigError: The file says nothing that lmms-eval could run, or its functions cannot be imported.
    """
    require_extra("run", "run --tasks FILE.yaml")
    config = _loading(str(path), lambda: _full(path))
    if isinstance(config.get("task"), list):
        return [task for entry in config["task"] for task in _entry(_manager(), entry, {}, path, ())]
    if not isinstance(config.get("task"), str):
        raise ConfigError(f"{path}: task: the task's name is missing")
    return [FoundTask(config["task"], config, path.resolve())]


def asked_of(config: Mapping[str, Any]) -> str | None:
    """Return by which module a task's scorer asks a server, so that it needs a key; None where it scores by itself.

    Its functions are looked through, with those that they call in lmms-eval's tasks: what cannot be reached from them,
    such as a judge that is imported for another variant, does not count.
    """
    metrics = cast("Sequence[Mapping[str, Any]]", config.get("metric_list") or ())
    scorers = [config.get("process_results"), *(metric.get("aggregation") for metric in metrics)]
    waiting = [function for function in scorers if isinstance(function, FunctionType)]
    seen: set[CodeType] = set()
    while waiting and len(seen) < _MOST_FUNCTIONS:
        function = waiting.pop()
        if function.__code__ in seen:
            continue
        seen.add(function.__code__)
        for module, value in _named_by(function):
            caller = next((name for name in _CALLERS if module == name or module.startswith(f"{name}.")), None)
            if caller is not None:
                return caller
            if module == function.__module__ or module.startswith(_OWN_CODE):
                waiting += _functions_of(value)
    return None


def key_variables() -> tuple[str, ...]:
    """Return the variables in which lmms-eval's judges look for a key."""
    return _KEYS


def _named_by(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Yield what a function's code names of its module or imports itself, each with the module that it stands in."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            if value is not None:
                yield value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", "")), value
        for step in dis.get_instructions(code):
            if step.opname == "IMPORT_NAME":
                yield str(step.argval), None


def _functions_of(value: object) -> list[FunctionType]:
    """Return a function, or those of a class or of the class that a value is of."""
    if isinstance(value, FunctionType):
        return [value]
    kind = value if isinstance(value, type) else type(value)
    return [member for member in vars(kind).values() if isinstance(member, FunctionType)]


@cache
def _manager() -> TaskManager:
    """Return lmms-eval's index of its tasks, made once: it takes seconds."""
    from lmms_eval.tasks import TaskManager  # noqa: PLC0415 - heavy

    return TaskManager("ERROR")


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - for a message

    return metadata.version("lmms-eval")


def _full(path: Path) -> dict[str, Any]:
    from lmms_eval.utils import load_yaml_config  # noqa: PLC0415 - heavy

    return dict(cast("Mapping[str, Any]", load_yaml_config(yaml_path=str(path), mode="full")))


def _members(
    manager: TaskManager, name: str, update: Mapping[str, Any], inside: tuple[str, ...]
) -> Iterator[FoundTask]:
    """Yield the tasks of a registered name; `update` is what the groups around it change, `inside` are these."""
    if name in inside:
        raise ConfigError(f"lmms-eval's group {name} holds itself")
    entry = cast("Mapping[str, Any]", manager.task_index[name])
    if entry["type"] == "python_task":
        raise ConfigError(
            f"lmms-eval's task {name} is a class of its own, no YAML: it cannot be run here. Run it with lmms-eval"
        )
    if entry["type"] == "tag":
        for member in entry["task"]:
            yield from _members(manager, member, update, (*inside, name))
        return
    path = Path(entry["yaml_path"])
    config = _loading(name, lambda: _full(path))
    if entry["type"] == "task":
        yield FoundTask(name, {**config, **update, "task": name}, path)
        return
    own = {key: value for key, value in config.items() if key not in _group_keys()}
    for member in config["task"]:
        yield from _entry(manager, member, {**update, **own}, path, (*inside, name))


def _entry(
    manager: TaskManager, member: Any, update: Mapping[str, Any], path: Path, inside: tuple[str, ...]
) -> Iterator[FoundTask]:
    """Yield the tasks of one entry of a group: a name, or an object that changes a named task or is one."""
    name = member if isinstance(member, str) else str(member.get("task"))
    changes: Mapping[str, Any] = (
        {} if isinstance(member, str) else {key: member[key] for key in member if key != "task"}
    )
    if name in manager.task_index:
        yield from _members(manager, name, {**update, **changes}, inside)
    elif changes:
        yield FoundTask(name, {**changes, **update, "task": name}, path)
    else:
        raise ConfigError(f"{path}: the group names {name!r}, which lmms-eval does not have")


@cache
def _group_keys() -> tuple[str, ...]:
    from lmms_eval.tasks import GROUP_ONLY_KEYS  # noqa: PLC0415 - heavy

    return tuple(cast("Sequence[str]", GROUP_ONLY_KEYS))


def _loading(name: str, load: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Load a configuration; what its modules raise becomes words for whoever named the task.

    Raises:
        ConfigError: Something was raised.
    """
    try:
        return load()
    except Exception as fault:  # a task's module may raise anything: it runs code of its own when it is imported
        cause: BaseException = fault
        while cause.__cause__ is not None:
            cause = cause.__cause__
        said = (str(cause).splitlines() or [""])[0][:300].rstrip(".")
        told = f"{type(cause).__name__}: {said}. {_mend(cause)}{ours_instead(name)}"
        raise ConfigError(f"lmms-eval's task {name} cannot be loaded: {told}") from fault


def _mend(cause: BaseException) -> str:
    if isinstance(cause, ModuleNotFoundError):
        return f"Its code imports {cause.name}: install it, where it can be installed beside lmms-eval."
    if "api_key" in str(cause).lower() or "credentials" in str(cause).lower():
        return f"Its code wants a key when it is imported: set {_KEYS[0]}."
    return "Mend that, or take another task."


def ours_instead(name: str) -> str:
    """Return a hint at a benchmark of the same name that is scored by rules here; empty where there is none."""
    near = next((task for task in FACTS if name == task or name.startswith(f"{task}_")), None)
    return "" if near is None else f" By rules of ours it is asked without that: --tasks {near}"


def _functions_in(value: Any) -> Iterator[Any]:
    """Yield the functions and classes in a configuration."""
    if callable(value):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from _functions_in(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _functions_in(item)


def _file_of(function: Any) -> str | None:
    try:
        return inspect.getsourcefile(function)
    except TypeError:  # built-in
        return None


def _written(value: Any) -> str:
    """Return a configuration as one text, the same in every process: functions by their names."""
    if callable(value):
        return f"!{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return (
            "{"
            + ",".join(f"{key!r}:{_written(item)}" for key, item in sorted(items, key=lambda item: str(item[0])))
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_written, cast("list[Any]", value))) + "]"
    return repr(value)
