"""Gathers the files that a checkpoint's processor is loaded from, and mends names that transformers no longer knows.

Image processor, tokenizer and chat template may each come from another folder: an adapter's own where it has them, else
its base's. Class names of earlier versions of transformers are brought to those of the installed one; the checkpoint's
own files are never touched.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.models.chat_template import ChatTemplate, find_chat_template, no_template_fault, template_at
from harness.models.checkpoint_files import CheckpointError, JsonObject, read_json_if_there

TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "vocab.txt", "tekken.json")
"""Files of which a tokenizer needs one."""

_WEIGHTS_AND_STATE = frozenset({".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".msgpack", ".h5", ".md"})
"""Endings of files that no processor reads."""
_NOT_LINKED = frozenset({"config.json", "adapter_config.json", "chat_template.json", "chat_template.jinja"})
_USUAL_TEMPLATES = frozenset({"chat_template.jinja", "chat_template.json", "processor_config.json"})
"""Where transformers' processor looks for a template itself."""
_NAMING_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
"""Files that name classes of image and video processors, and of the processor that holds both."""


@dataclass(frozen=True, slots=True)
class ProcessorFiles:
    """Where the parts of a processor are."""

    tokenizer_folder: Path
    """Folder of the tokenizer."""
    image_folder: Path
    """Folder of the image processor and of the processor's own settings."""
    config_folder: Path
    """Folder of config.json, by which transformers finds what the other files do not name."""
    image_processor: str | None
    """Class name of the image processor, as the installed transformers calls it; None when it is not known."""
    template: ChatTemplate | None
    """The chat template; None where there is none, for a model that a server asks."""
    renamed: Mapping[str, str | None]
    """Class names in the files, and what stands for them now; None: transformers goes by the model type."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was mended or found in an unusual place, in words."""
        said = [
            f"{old}, which the installed transformers does not know, is taken for {new or 'the one of its model type'}"
            for old, new in self.renamed.items()
        ]
        if self.template is not None and self.template.file.name not in _USUAL_TEMPLATES:
            said.append(f"the chat template is that of {self.template.file}")
        return tuple(said)


def find_processor(
    folders: Sequence[Path], model_type: str, *, served: bool, chat_template: Path | None = None
) -> tuple[ProcessorFiles, list[str]]:
    """Find the parts of a processor, each in the first of the folders that has it; the last one holds config.json.

    A chat template that a person gave stands in place of the folders'.

    A server has its own way to load a model and its own template, so their names are no faults of what is `served`.

    Returns:
        The parts, and what is missing or not known among them.
    """
    faults: list[str] = []
    names = {folder: image_processor_name(folder, model_type) for folder in folders if image_processor_config(folder)}
    image_folder = next((folder for folder, name in names.items() if name), next(iter(names), folders[-1]))
    image_processor = names.get(image_folder)
    if not names:
        faults.append("neither preprocessor_config.json nor an image processor in processor_config.json")
    elif image_processor is None and not served and (written := written_image_processor(image_folder)):
        faults.append(f"an image processor, {written}, that the installed transformers does not know")
    tokenizer_folder = next((folder for folder in folders if _has_tokenizer(folder)), folders[-1])
    if not _has_tokenizer(tokenizer_folder):
        faults.append(f"no tokenizer ({', '.join(TOKENIZERS)})")
    if faults:
        faults[-1] += f": copy these files from the base model into {folders[0]}, or save its AutoProcessor there"
    template = template_at(chat_template) if chat_template is not None else None
    try:
        template = template or next(filter(None, map(find_chat_template, folders)), None)
        if template is None and not served:
            faults.append(no_template_fault(model_type, folders[0]))
    except CheckpointError as error:
        faults += [] if served else [str(error)]
    files = ProcessorFiles(
        tokenizer_folder=tokenizer_folder,
        image_folder=image_folder,
        config_folder=folders[-1],
        image_processor=image_processor,
        template=template,
        renamed=_renamed(image_folder, tokenizer_folder),
    )
    return files, faults


def image_processor_config(folder: Path) -> JsonObject:
    """Return the image processor's configuration, from where transformers 5 and 4 keep it; empty when there is none."""
    nested = read_json_if_there(folder / "processor_config.json").get("image_processor")
    return nested if isinstance(nested, dict) else read_json_if_there(folder / "preprocessor_config.json")


def written_image_processor(folder: Path) -> str | None:
    """Return the class name of the image processor as the folder's file has it; None where it has none."""
    config = image_processor_config(folder)
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    return name if isinstance(name, str) else None


def image_processor_name(folder: Path, model_type: str) -> str | None:
    """Return the class of the folder's image processor as transformers calls it now; None when it is not known.

    A file that names none gets the class of its model type, as in transformers.
    """
    written = written_image_processor(folder)
    if written is None:
        return _image_processors_by_model_type().get(model_type)
    return current_name(written)


def current_name(written: str) -> str | None:
    """Return what transformers calls a class of image or video processors now; None when it knows none of that name.

    Besides names that are still there: `*FeatureExtractor`, as image processors were called until 2022; and classes
    that were named after a model type which has the class of another one now, such as `Qwen2_5_VLImageProcessor`
    (Qwen2VLImageProcessor since transformers 4.50).
    """
    name = written.replace("FeatureExtractor", "ImageProcessor")
    plain = name.removesuffix("Fast").removesuffix("Pil")
    if _is_known(name):
        return name
    if _is_known(plain):
        return plain
    for kind, by_model_type in (
        ("ImageProcessor", _image_processors_by_model_type),
        ("VideoProcessor", _video_processors_by_model_type),
    ):
        if plain.endswith(kind):
            wanted = _letters(plain.removesuffix(kind))
            return next((now for owner, now in by_model_type().items() if _letters(owner) == wanted), None)
    return None


def assemble(files: ProcessorFiles, into: Path) -> None:
    """Lay the parts of a processor together in an empty folder, named as the installed transformers names them.

    Files are linked but for the few that are mended; the chat template becomes `chat_template.jinja`.
    """
    written: dict[str, JsonObject] = {}
    for name in (*_NAMING_FILES, "tokenizer_config.json"):
        folder = files.tokenizer_folder if name == "tokenizer_config.json" else files.image_folder
        if (folder / name).is_file():
            written[name] = _mended(read_json_if_there(folder / name), files.renamed)
    processor = written.get("processor_config.json", {})
    if isinstance(image := processor.get("image_processor"), dict) and "video_processor" not in processor:
        # A video processor that has no file is made of the image processor's, which lies in a file of its own then.
        written.setdefault("preprocessor_config.json", image)
    for name, content in written.items():
        (into / name).write_text(json.dumps(content), encoding="utf-8")
    if files.template is not None:
        (into / "chat_template.jinja").write_text(files.template.text, encoding="utf-8")
    (into / "config.json").symlink_to((files.config_folder / "config.json").resolve())
    for file in files.tokenizer_folder.iterdir():
        if file.is_file() and file.suffix not in _WEIGHTS_AND_STATE and file.name not in _NOT_LINKED:
            link = into / file.name
            if file.name not in _NAMING_FILES and not link.exists():
                link.symlink_to(file.resolve())


def _mended(config: JsonObject, renamed: Mapping[str, str | None]) -> JsonObject:
    """Return a processor's or tokenizer's configuration with today's class names and without a template."""
    mended: JsonObject = {}
    for key, value in config.items():
        if key in ("image_processor", "video_processor") and isinstance(value, dict):
            mended[key] = _mended(value, renamed)
        elif key.endswith(("_type", "processor_class")) and isinstance(value, str) and value in renamed:
            now = renamed[value]
            if now is not None:
                mended[key] = now
        elif key != "chat_template":
            mended[key] = value
    return mended


def _renamed(image_folder: Path, tokenizer_folder: Path) -> dict[str, str | None]:
    """Return the class names in the files that transformers does not know, and what stands for them now."""
    renamed: dict[str, str | None] = {}
    for name in _NAMING_FILES:
        config = read_json_if_there(image_folder / name)
        for part in (config, config.get("image_processor"), config.get("video_processor")):
            fields: JsonObject = part if isinstance(part, dict) else {}
            for key in ("image_processor_type", "feature_extractor_type", "video_processor_type"):
                written = fields.get(key)
                if isinstance(written, str) and not _is_known(written.removesuffix("Fast").removesuffix("Pil")):
                    renamed[written] = current_name(written)
    for file in (*(image_folder / name for name in _NAMING_FILES), tokenizer_folder / "tokenizer_config.json"):
        written = read_json_if_there(file).get("processor_class")
        if isinstance(written, str) and not _is_known(written):
            renamed[written] = None
    return renamed


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZERS)


def _is_known(class_name: str) -> bool:
    """Whether the installed transformers has a class of that name; it says so without importing it."""
    return class_name in _names_in_transformers()


@functools.cache
def _names_in_transformers() -> frozenset[str]:
    """Return the names that the installed transformers has.

    Its own `dir` looks each of thousands up in a list of them, a quarter of a second a call; this is the same.
    """
    import transformers  # noqa: PLC0415 - half a second, and only for a whole folder

    names = vars(transformers)
    return frozenset((*names, *cast("Sequence[str]", names["__all__"])))


def _image_processors_by_model_type() -> dict[str, str]:
    """Return transformers' image processor of each model type."""
    # Imported here: it brings torch along, and only unnamed and renamed processors need it.
    from transformers.models.auto import image_processing_auto  # noqa: PLC0415 - see the line above

    return _usual_classes(cast("object", image_processing_auto), "IMAGE_PROCESSOR_MAPPING_NAMES")


def _video_processors_by_model_type() -> dict[str, str]:
    """Return transformers' video processor of each model type."""
    from transformers.models.auto import video_processing_auto  # noqa: PLC0415 - as above

    return _usual_classes(cast("object", video_processing_auto), "VIDEO_PROCESSOR_MAPPING_NAMES")


def _usual_classes(module: object, table: str) -> dict[str, str]:
    """Return the usual class of each model type of transformers' table, which has one or two for each."""
    by_type = cast("Mapping[str, Mapping[str, str | None]]", getattr(module, table))
    chosen = {owner: classes.get("torchvision") or classes.get("pil") for owner, classes in by_type.items()}
    return {owner: name for owner, name in chosen.items() if name}


def _letters(name: str) -> str:
    """Return a name's letters and digits alone, small: class names and model types are spelled apart."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
