"""The table of benchmarks and groups, and how the text after `--tasks` names them.

`harness/task_facts.py` says which benchmarks there are and which file of this folder knows the rows of each. Row counts
there are those the benchmarks' authors give; none was checked against the hub here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from harness.errors import ConfigError
from harness.models.peer_names import task_hint
from harness.task_facts import FACTS, is_native
from tasks.benchmark import Benchmark
from tasks.native_benchmarks import is_native_file, native_benchmarks, native_file
from tasks.own import load_own_task, read_yaml, satori_section


class UnknownTaskError(ConfigError):
    """A word after `--tasks` names no task, no group and no YAML file."""


def _read_files() -> dict[str, Benchmark]:
    """Return every benchmark of the files that `FACTS` names, in the order of `FACTS`.

    Raises:
        KeyError: A file does not declare the benchmark whose facts name it.
    """
    files = {name: facts.file or name for name, facts in FACTS.items() if facts.file is not None}
    declared: dict[str, Benchmark] = {}
    for file in dict.fromkeys(files.values()):
        module = import_module(f"tasks.{file}")
        declared |= {item.name: item for item in module.BENCHMARKS}
    missing = [f"{name} (tasks/{file}.py)" for name, file in files.items() if name not in declared]
    if missing:
        raise KeyError(f"benchmarks of harness/task_facts.py that their file does not declare: {', '.join(missing)}")
    return {name: declared[name] for name in files}


BENCHMARKS: MappingProxyType[str, Benchmark] = MappingProxyType(_read_files())
"""Every embedded benchmark by its short name, in the order of the tables."""

_GROUP_NAMES = dict.fromkeys(group for item in BENCHMARKS.values() for group in item.groups)

GROUPS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        **{group: tuple(name for name, item in BENCHMARKS.items() if group in item.groups) for group in _GROUP_NAMES},
        "all": tuple(name for name in BENCHMARKS if FACTS[name].submission is None),
    }
)
"""Group name to task names; splits without labels give no score, so they are in no group but their own."""

GROUP_NOTES: MappingProxyType[str, str] = MappingProxyType(
    {
        "core": "asked where nothing else is said",
        "paper": "the eight columns of the published table. Two are stand-ins: mmbench_en_dev_v11 for its MMBench, "
        "a split that is not public, and mmmu_val for its MMMU, whose split it does not name",
        "math": "mathematics and physics; of MathVision the part testmini",
        "doc": "charts, documents and text in pictures",
        "hallucination": "what is not in the picture",
        "perception": "what is to be seen: small things, places, several pictures",
        "grounding": "where it is to be seen: rows with gold boxes",
        "hr_bench": "both sizes",
        "refcoco": "all splits",
        "refcoco+": "all splits",
        "refcocog": "all splits",
        "visual_cot": "all sources",
        "submission": "splits without public answers: nothing is scored, `submission RUN` writes the official file",
        "all": "every benchmark that is scored",
    }
)
"""What a group is for; a test holds that every group has a word."""

_YAML_ENDINGS = (".yaml", ".yml")


def resolve_tasks(names: str) -> list[Benchmark]:
    """Return the benchmarks that a text such as `mmstar,core,my_task.yaml` names.

    Each is listed once, at its first mention. A word may be a task, a group, a task's lmms-eval name
    (`satori_mmstar`), the path of a YAML file of one's own or of lmms-eval's kind, or `lmms:` before a task, group or
    tag of lmms-eval's own.

    Raises:
        UnknownTaskError: Nothing is named, or some word is unknown; all unknown words are reported together.
        ConfigError: A YAML file of one's own is wrong, or its name is taken.
    """
    words = [word.strip() for word in names.split(",") if word.strip()]
    if not words:
        raise UnknownTaskError(f"no task is named. Known tasks: {_known()}")
    unknown = [word for word in words if not _is_path(word) and not is_native(word) and not _members(word)]
    if unknown:
        raise UnknownTaskError(" ".join(_unknown(word) for word in unknown) + f" Known tasks: {_known()}")
    found: dict[str, Benchmark] = {}
    for word in words:
        for item in _of_file(Path(word)) if _is_path(word) else _named(word):
            taken = item.own is not None and (item.name in BENCHMARKS or found.get(item.name, item) != item)
            if taken:
                raise ConfigError(f"{word}: the task name {item.name!r} is taken. Give `task:` another name.")
            found.setdefault(item.name, item)
    return list(found.values())


def _of_file(path: Path) -> list[Benchmark]:
    """Return what a YAML file describes: a benchmark of one's own, or a task of lmms-eval's kind."""
    config = read_yaml(path)
    return [load_own_task(path)] if satori_section(config) or not is_native_file(config) else native_file(path)


def _named(word: str) -> list[Benchmark]:
    """Return the benchmarks that a known word stands for."""
    return native_benchmarks(word) if is_native(word) else _members(word)


def _is_path(word: str) -> bool:
    """Say whether a word means a YAML file."""
    return word.endswith(_YAML_ENDINGS)


def _members(word: str) -> list[Benchmark]:
    """Return the benchmarks that a task or group name stands for; none for an unknown word."""
    if word in GROUPS:
        return [BENCHMARKS[name] for name in GROUPS[word]]
    name = word.removeprefix("satori_")
    if name in BENCHMARKS:
        return [BENCHMARKS[name]]
    return [BENCHMARKS[member] for member in GROUPS.get(name, ())]


def _unknown(word: str) -> str:
    """Say that a word is unknown, with the nearest known one."""
    return f"unknown task {word!r}{task_hint(word, [*BENCHMARKS, *GROUPS])}"


def _known() -> str:
    """List what could have been said."""
    return (
        f"{', '.join(BENCHMARKS)}; groups: {', '.join(GROUPS)}; lmms:NAME for a task of lmms-eval's own; or the path "
        "of a YAML file"
    )
