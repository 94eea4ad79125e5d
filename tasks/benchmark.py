"""The value that describes one benchmark: where its rows come from and how its answers are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.task_facts import facts_of
from harness.values import AnswerRule
from harness.vocabulary import GoldFrame
from tasks.adapter import Adapter

if TYPE_CHECKING:  # reads pictures; listing benchmarks needs none of it
    from tasks.json_rows import RowMaker
    from tasks.rows import Rows

TASKS_DIR = Path(__file__).parent
"""The folder of the YAML files; `lmms-eval --include_path` takes it."""

LOCAL_BUILDERS = frozenset({"parquet", "json", "csv", "text", "arrow", "pandas"})
"""Names that a `dataset_path` of lmms-eval gives to local files instead of a hub dataset."""

TEMPLATE_PATH = TASKS_DIR / "_satori_template"
"""The settings that every task has: our YAML files include it, and a user's own task is built on it."""


@dataclass(frozen=True, slots=True)
class OwnTask:
    """What a user's own YAML adds: its file, and which column plays which part."""

    yaml_path: Path
    """The YAML file, absolute."""
    columns: Mapping[str, str]
    """Part (`id`, `question`, `image`, `answers`, `choices`, `category`, `boxes`, `caption`) to column name."""
    data_file: Path | None = None
    """Local parquet or TSV file, absolute; None when the rows come from the hub."""


@dataclass(frozen=True, slots=True)
class NativeSource:
    """What a task of lmms-eval's own adds: where it stands, and its name there."""

    name: str
    """As lmms-eval calls it."""
    yaml_path: Path
    """Its YAML file."""
    code_hash: str
    """Hex digest of its configuration and of the code that it names."""
    metric: str
    """The first metric that it declares."""
    found: Any = field(repr=False, compare=False)
    """The `tasks.native_names.FoundTask`, whose functions are lmms-eval's."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark: where its rows come from. What its numbers are stands in `harness/task_facts.py`."""

    name: str
    """Short name, such as `mmstar`."""
    title: str
    """The name that people use."""
    answer_rule: AnswerRule
    """What kind of answer a row wants."""
    adapter: Adapter = field(repr=False, compare=False)
    """The functions that know its columns."""
    hub_path: str = ""
    """Dataset on the Hugging Face hub; empty for an embedded benchmark."""
    hub_config: str | None = None
    """Configuration of that dataset; None for its only one."""
    hub_split: str = "test"
    """Split that is evaluated."""
    hub_files: str = ""
    """Pattern of the split's files there, where every configuration is a part of it; empty where one holds all."""
    hub_columns: tuple[str, ...] = ()
    """Columns without which a hub row cannot be asked or scored."""
    image_columns: tuple[str, ...] = ("image",)
    """Where the image may be, best first; where there may be several, all of them: see `Adapter.several_images`."""
    tsv_files: tuple[str, ...] = ()
    """File names that VLMEvalKit gives the benchmark, best first."""
    tsv_parts: bool = False
    """Whether these files are its parts, all of which are read, and not names of one file."""
    json_files: tuple[str, ...] = ()
    """JSON files below the folder of local data, best first: names, or patterns of several files (`*`)."""
    made: RowMaker | None = None
    """Makes the columns above of an object of these files; None where they are its fields."""
    download: str = ""
    """How to get the files of a benchmark that `datasets` cannot load with its boxes; empty where it can."""
    boxes_column: str = "boxes"
    """Where the gold boxes are, for checks of them; empty where their frame depends on the layout."""
    gold_box_frame: GoldFrame | None = None
    """What their numbers are; None where nobody says it: pixels of the image."""
    choose: Callable[[Rows], Sequence[tuple[int, int]]] | None = None
    """Which rows of the source are asked, as row and number of its question; None: each row once."""
    tsv_columns: tuple[str, ...] = ()
    """Columns without which a row of such a file cannot be asked or scored."""
    optional_columns: tuple[str, ...] = ()
    """Columns that give categories and the like: `a|b` means either name; their absence is only reported."""
    rows_expected: int | None = None
    """Number of rows of the full split; None when not known. A mismatch is reported, it is no error."""
    licence: str = "not checked here: see the dataset's own page"
    """Terms of use, as far as known."""
    notes: str = ""
    """What a user should know."""
    max_new_tokens: int = 2048
    """Token budget of an answer; stock YAMLs cut SATORI's format off at 16 to 128."""
    groups: tuple[str, ...] = ()
    """Groups that name it after `--tasks`, beside `all`."""
    drawn: bool = False
    """Whether its rows are drawn by the generator of Shapes where no file holds them."""
    own: OwnTask | None = field(default=None)
    """Set for a benchmark that a user's own YAML describes."""
    native: NativeSource | None = field(default=None)
    """Set for a task of lmms-eval's own."""

    @property
    def headline(self) -> str:
        """The metric that stands for the benchmark."""
        return facts_of(self.name).headline if self.native is None else self.native.metric

    @property
    def file_stem(self) -> str:
        """What its local files are called without ending: its name, for a task of lmms-eval's own as it is there."""
        return self.name if self.native is None else self.native.name

    @property
    def yaml_name(self) -> str:
        """Name of the lmms-eval task; prefixed, because lmms-eval's own tasks win a clash of names in silence."""
        if self.native is not None:
            return self.native.name
        return self.name if self.own is not None else f"satori_{self.name}"

    @property
    def yaml_path(self) -> Path:
        """The YAML file of the lmms-eval task."""
        if self.native is not None:
            return self.native.yaml_path
        return self.own.yaml_path if self.own is not None else TASKS_DIR / f"{self.yaml_name}.yaml"


def embedded(name: str, **fields: Any) -> Benchmark:
    """Return a benchmark that answers as `harness/task_facts.py` has it; `fields` are those of `Benchmark`."""
    return Benchmark(name=name, answer_rule=facts_of(name).answer_rule, **fields)
