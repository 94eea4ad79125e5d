"""The rows of a benchmark, from local files, the hub, or the Shapes generator, with flat memory.

Rows are read one by one and images only when somebody looks at them, so that scoring 10,000 rows costs no more memory
than scoring 100. The search order for local data is design.md's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import did_you_mean
from harness.git_lfs import POINTER_MEND, is_lfs_pointer
from harness.vocabulary import PLACE_RULES
from tasks.adapter import Adapter
from tasks.benchmark import Benchmark
from tasks.cells import ROW, CellError, Doc, as_text, list_of, options_in
from tasks.images import PICTURES, StoredImage, StoredImages
from tasks.joined_rows import JoinedRows
from tasks.json_rows import ChosenRows, JsonRows
from tasks.rows import DataError, HubRows, ParquetRows, Rows, ShapesRows, TsvRows
from tasks.shapes import PROFILES
from tasks.shards import dealt

_ANSWER_COLUMNS = frozenset({"answer", "answers", "gt_answer"})
"""Columns of embedded benchmarks that hold the right answer, which a split without labels does not have."""


@dataclass(frozen=True, slots=True)
class DatasetOverride:
    """What `--dataset TASK=PATH[@REVISION]` says of one task."""

    path: str
    """A local file or folder, else a hub dataset; for Shapes also the profile `full` or `tiny`."""
    revision: str | None = None
    """Revision of the hub dataset; None for its newest."""


class TaskData(Sequence[dict[str, Any]]):
    """A lazy sequence of rows (`doc`s), each a new dict with a `StoredImage` in its image column, or `StoredImages`.

    It has what lmms-eval asks of a split: length, items, iteration and `features`.
    """

    def __init__(self, rows: Rows, indices: Sequence[int] | None = None) -> None:
        self.rows = rows
        self.indices: Sequence[int] = range(len(rows)) if indices is None else tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = self.indices[index]
        doc = self.rows.cells(row)
        if self.rows.several:
            doc[PICTURES] = StoredImages(self.rows, row)
        else:
            doc[self.rows.image_column] = StoredImage(self.rows, row)
        doc[ROW] = row
        return doc

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[place] for place in range(len(self)))

    @property
    def features(self) -> Mapping[str, str]:
        """Column name to kind; lmms-eval reads only the names."""
        return {name: "image" if name == self.rows.image_column else "value" for name in self.rows.columns}

    @property
    def column_names(self) -> list[str]:
        """Column names of the source."""
        return list(self.rows.columns)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the whole source, whatever subset this is."""
        return self.rows.fingerprint()

    @property
    def source(self) -> str:
        """Where the rows come from."""
        return self.rows.source

    def subset(self, indices: Sequence[int]) -> TaskData:
        """Return the rows at these places of this sequence, in the order given."""
        return TaskData(self.rows, [self.indices[place] for place in indices])


def open_task_data(
    benchmark: Benchmark, data_dir: Path | None = None, override: DatasetOverride | None = None
) -> TaskData:
    """Open a benchmark's rows: an override first, else local data, else its own file, the generator or the hub.

    Raises:
        DataError: Nothing is found, a file is broken, a column is missing, there are no rows, two rows share an id, or
            a cell holds something nested. The message says where it looked and how to mend it.
    """
    if benchmark.native is not None:
        raise DataError(f"{benchmark.name} is lmms-eval's own: its rows are read by its own code alone, in a run of it")
    rows = _find_rows(benchmark, data_dir, override)
    _check_columns(benchmark, rows)
    if benchmark.choose is not None:
        rows = ChosenRows(rows, benchmark.choose(rows))
    if len(rows) == 0:
        raise DataError(f"{rows.source}: the dataset is empty. {_how_to_mend(benchmark)}")
    data = TaskData(rows)
    _check_rows(benchmark, data)
    return data


def candidate_files(benchmark: Benchmark, data_dir: Path) -> list[Path]:
    """Return where local data of a benchmark may lie, in search order; the first entry is a folder."""
    stem = benchmark.file_stem
    names = [f"{stem}.parquet", f"{stem}.tsv", *benchmark.tsv_files, *benchmark.json_files]
    return [data_dir / stem, *(data_dir / name for name in names)]


def find_local_files(benchmark: Benchmark, data_dir: Path) -> list[Path]:
    """Return the local files of a benchmark, several where it has shards or parts; none gives an empty list."""
    folder, *files = candidate_files(benchmark, data_dir)
    shards = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if not shards and benchmark.hub_files:
        shards = sorted(folder.glob(benchmark.hub_files))
    found = shards or [path for path in files if path.is_file()]
    if not shards and not (benchmark.tsv_parts and all(path.name in benchmark.tsv_files for path in found)):
        found = found[:1]
    patterns = (pattern for pattern in benchmark.json_files if "*" in pattern)
    return found or next((several for pattern in patterns if (several := sorted(data_dir.glob(pattern)))), [])


def without_labels(benchmark: Benchmark, data: TaskData) -> bool:
    """Tell whether no row has a right answer, as in a test split whose labels its authors keep."""
    if benchmark.answer_rule in PLACE_RULES:  # the gold are boxes, which are looked at elsewhere
        return False
    adapter = benchmark.adapter
    return not any(adapter.sample_of(without_image(adapter, doc)).answers for doc in data)


def folder_files(benchmark: Benchmark, data_dir: Path) -> list[Path]:
    """Return the local parquet files of a task of lmms-eval's own in a folder of local data.

    Raises:
        DataError: There are none: the hub is not asked where a folder is named.
    """
    files = [path for path in find_local_files(benchmark, data_dir) if path.suffix == ".parquet"]
    if not files:
        looked = ", ".join(str(path) for path in candidate_files(benchmark, data_dir)[:2])
        raise DataError(f"no data for {benchmark.name} in {data_dir}. Looked for {looked} (the hub's columns)")
    return files


def named_files(benchmark: Benchmark, path: str) -> list[Path]:
    """Return the parquet files that `--dataset` names for a task of lmms-eval's own; none for a hub dataset.

    Raises:
        DataError: A folder holds none, or a named file is not there.
    """
    place = Path(path)
    if place.is_dir():
        if found := sorted(place.glob("*.parquet")):
            return found
        raise DataError(f"{place}: the folder named for {benchmark.name} holds no .parquet file")
    if place.is_file() and place.suffix == ".parquet":
        return [place]
    if place.is_file() or place.is_absolute() or place.suffix in {".parquet", ".tsv", ".json", ".jsonl"}:
        raise DataError(f"{place}: {benchmark.name} needs a .parquet file in the hub's columns, or a hub dataset")
    return []


def limit_indices(benchmark: Benchmark, data: TaskData, rows: int, seed: int | None = None) -> list[int]:
    """Return the places of whole clusters that cover at least `rows` rows, in the data's order.

    A cluster's rows may lie anywhere (MMBench's circular copies do), so the result may hold some more rows. Of one
    seed, more rows are the same ones and others.

    Args:
        benchmark: Whose rows they are.
        data: The rows.
        rows: How many at least.
        seed: Draws the clusters, by a hash of their names; None takes the first ones.

    Raises:
        ValueError: `rows` is not above 0.
    """
    if rows < 1:
        raise ValueError(f"a limit is a whole number above 0, found {rows}")
    cluster_of = benchmark.adapter.cluster_of
    places: OrderedDict[str, list[int]] = OrderedDict()
    for place, doc in enumerate(data):
        places.setdefault(cluster_of(doc), []).append(place)
    chosen: list[int] = []
    order = list(places) if seed is None else dealt(f"{seed}\0{benchmark.name}", places)
    for members in (places[cluster] for cluster in order):
        if len(chosen) >= rows:
            break
        chosen.extend(members)
    return sorted(chosen)


def _find_rows(benchmark: Benchmark, data_dir: Path | None, override: DatasetOverride | None) -> Rows:
    """Find where the rows are."""
    if override is not None:
        return _overridden(benchmark, override)
    if benchmark.own is not None and benchmark.own.data_file is not None:
        return _open_files(benchmark, [benchmark.own.data_file])
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"{data_dir}: there is no such folder. --data-dir names a folder of benchmark files.")
        files = find_local_files(benchmark, data_dir)
        if files:
            return _open_files(benchmark, files, data_dir)
        if not benchmark.drawn:
            looked = ", ".join(str(path) for path in candidate_files(benchmark, data_dir))
            raise DataError(
                f"no data for {benchmark.name} in {data_dir}. Looked for {looked} "
                f"(the first is a folder of parquet files). {_how_to_mend(benchmark)}"
            )
    if benchmark.drawn:
        return ShapesRows("full")
    return _from_hub(benchmark, benchmark.hub_path, None)


def _overridden(benchmark: Benchmark, override: DatasetOverride) -> Rows:
    """Open what `--dataset` names."""
    if benchmark.drawn and override.path in PROFILES:
        return ShapesRows("tiny" if override.path == "tiny" else "full")
    path = Path(override.path)
    if path.is_dir():
        files = sorted(path.glob("*.parquet")) or _tables_in(benchmark, path) or find_local_files(benchmark, path)
        if not files:
            raise DataError(f"{path}: the folder named for {benchmark.name} holds no .parquet or .tsv file of it")
        return _open_files(benchmark, files, path)
    if path.is_file():
        return _open_files(benchmark, [path])
    if path.suffix in {".parquet", ".tsv", ".json", ".jsonl"} or path.is_absolute() or not benchmark.hub_path:
        raise DataError(f"{path}: the file named for {benchmark.name} by --dataset does not exist")
    return _from_hub(benchmark, override.path, override.revision)


def _tables_in(benchmark: Benchmark, folder: Path) -> list[Path]:
    """Return the TSV file of a folder that was named for a benchmark, or all of them where it has parts."""
    tables = sorted(folder.glob("*.tsv"))
    return tables if benchmark.tsv_parts else tables[:1]


def _open_files(benchmark: Benchmark, files: Sequence[Path], root: Path | None = None) -> Rows:
    """Open local files by their ending; `root` is the folder in which they were looked for."""
    for path in files:
        if is_lfs_pointer(path):
            raise DataError(f"{path} is {POINTER_MEND} there")
    columns, several = benchmark.image_columns, benchmark.adapter.several_images
    if files[0].suffix == ".tsv":
        tables = [TsvRows(path, columns, several=several) for path in files]
        return tables[0] if len(tables) == 1 else JoinedRows(tables)
    if files[0].suffix in {".json", ".jsonl"}:
        return JsonRows(files, columns, root=root or files[0].parent, made=benchmark.made, several=several)
    return ParquetRows(files, columns, several=several)


def _from_hub(benchmark: Benchmark, path: str, revision: str | None) -> Rows:
    """Ask the hub, or its local cache."""
    if benchmark.download and path == benchmark.hub_path:
        raise DataError(f"{benchmark.name} needs files that the hub's loader does not give. {_how_to_mend(benchmark)}")
    import datasets  # noqa: PLC0415 - slow to import, and only the hub needs it

    source = f"{path}@{revision or 'newest'}, {benchmark.hub_config or 'default'}, {benchmark.hub_split}"
    try:
        files = {benchmark.hub_split: benchmark.hub_files} if benchmark.hub_files else None
        dataset = datasets.load_dataset(
            path, benchmark.hub_config, data_files=files, split=benchmark.hub_split, revision=revision
        )
    except Exception as fault:  # the hub's client raises a dozen kinds of its libraries' errors
        reason = (str(fault).splitlines() or [type(fault).__name__])[0][:300]
        raise DataError(
            f"the dataset {path} of {benchmark.name} cannot be loaded from the hub: {reason}. {_how_to_mend(benchmark)}"
        ) from fault
    return HubRows(dataset, benchmark.image_columns, source, several=benchmark.adapter.several_images)


def _how_to_mend(benchmark: Benchmark) -> str:
    """Say how local data is passed."""
    if benchmark.own is not None:
        return f"Name a parquet or TSV file as satori.data in {benchmark.own.yaml_path}."
    names = [f"{benchmark.name}/*.parquet (the hub's columns)", *benchmark.tsv_files[:1], *benchmark.json_files[:1]]
    if benchmark.download:
        names = [*benchmark.tsv_files[:1], *benchmark.json_files[:1]]
    return (f"{benchmark.download} " if benchmark.download else "") + (
        f"Pass --data-dir DIR (or set SATORI_BENCH_DATA_DIR) with {' or '.join(names)} in it, "
        f"or --dataset {benchmark.name}=PATH[@REVISION]."
    )


def _check_columns(benchmark: Benchmark, rows: Rows) -> None:
    """Refuse data without a column that asking or scoring needs; hub and TSV layouts are both right anywhere."""
    missing = missing_columns(benchmark, rows.columns)
    if not missing:
        return
    if set(missing) <= _ANSWER_COLUMNS:
        raise DataError(
            f"{rows.source}: there is no column {', '.join(missing)}, so this may be a split without labels, such as a "
            f"test split: nothing of it can be scored. {benchmark.name} is the split {benchmark.hub_split}; pass its "
            f"file, or rename the column that holds the right answers. Found {', '.join(rows.columns)}"
        )
    hints = "".join(did_you_mean(name, list(rows.columns)) for name in missing)
    mend = "Rename the column in the file, or download the benchmark again."
    if benchmark.own is not None:
        mend = f"Name it under satori.columns in {benchmark.own.yaml_path}, or rename it in the file."
    raise DataError(
        f"{rows.source}: {benchmark.name} needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
        f"found {', '.join(rows.columns)}.{hints} {mend}"
    )


def missing_columns(benchmark: Benchmark, found: Iterable[str]) -> list[str]:
    """Return the needed columns that are not there, by the layout (hub or TSV) that comes nearer."""
    names = set(found)
    layouts = [layout for layout in (benchmark.hub_columns, benchmark.tsv_columns) if layout]
    return min(([name for name in layout if name not in names] for layout in layouts), key=len)


def _check_rows(benchmark: Benchmark, data: TaskData) -> None:
    """Refuse data in which two rows share an id, or a row holds something nested where a text is meant.

    A run could not tell the records of such rows apart, or would ask and score the printed form of a struct.
    """
    adapter = benchmark.adapter
    seen: dict[str, int] = {}
    for place, doc in enumerate(data):
        bare = without_image(adapter, doc)
        try:
            sample_id = adapter.id_of(bare)
            adapter.question_text(bare)
            adapter.sample_of(bare)
        except CellError as fault:
            raise DataError(
                f"{data.source}: row {place}{_column_of(bare, fault)} holds {fault}. "
                "Write the text itself into the cell, or name another column."
            ) from fault
        first = seen.setdefault(sample_id, place)
        if first != place:
            raise DataError(
                f"{data.source}: rows {first} and {place} have the same id {as_text(sample_id)!r}. "
                "Remove one, or give them different ids."
            )


def without_image(adapter: Adapter, doc: Doc) -> Doc:
    """Return a row without its images, which then stay unread."""
    left_out = (*adapter.image_columns, PICTURES)
    return {name: cell for name, cell in doc.items() if name not in left_out}


def _column_of(doc: Doc, fault: CellError) -> str:
    """Say in which column a fault lies; nothing where that cannot be told."""
    for name, cell in doc.items():
        for read in (as_text, list_of, options_in):
            try:
                read(cell)
            except CellError as found:
                if str(found) == str(fault):
                    return f", column {name!r},"
    return ""
