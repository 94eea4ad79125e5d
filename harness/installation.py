"""Say whether the installed libraries can do what a verb needs: which are missing, which cannot be imported, and why.

The core installs without PyTorch. An extra of the distribution brings the libraries of the verbs that ask or train a
model, and `constraints.txt` holds the versions that the whole test suite passed with.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from harness.errors import ConfigError

_RUN = ("datasets", "httpx", "huggingface_hub", "lmms_eval", "peft", "safetensors", "torch", "torchvision", "tqdm",
        "transformers")  # fmt: skip
_TRAIN = ("accelerate", "pydantic", "tokenizers", "trl")

IMPORTED_BY_EXTRA: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run": _RUN,
        "train": (*_RUN, *_TRAIN),
        "vllm": (*_RUN, "vllm"),
        "ray": (*_RUN, "fsspec", "ray"),
    }
)
"""Extra to the top-level modules of other libraries that its verbs import."""

OUR_FOLDERS = ("harness", "tasks", "training", "reports")
CONSTRAINTS_NAME = "constraints.txt"
_INSTALLERS = ("pip", "setuptools", "wheel")
"""They come with an environment, and no verb imports them."""
_NAMED_VERSIONS = 6
"""A message names at most so many packages."""

# A pin, or one that the header only tells: `numpy==2.4.6`, `#   torch==2.14.1`
_PIN = re.compile(r"^(?:#\s+)?([\w.-]+)==(\S+)$", re.MULTILINE)


class InstallationError(ConfigError):
    """A library that a verb needs is missing, or cannot be imported."""


@dataclass(frozen=True, slots=True)
class BrokenImport:
    """A module that cannot be imported here."""

    module: str
    """What was to be imported."""
    reason: str
    """The error, in one line."""
    missing: str | None = None
    """Top-level name of the module whose absence is the reason; None for any other reason."""


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """A package whose installed version is not the tested one."""

    package: str
    """Name of the distribution, in the standard's normal form."""
    installed: str
    """Version here."""
    tested: str
    """Version in `constraints.txt`."""

    def __str__(self) -> str:
        """Write it for a person."""
        return f"{self.package} {self.installed} (tested: {self.tested})"


def require_extra(extra: str, verb: str) -> None:
    """Refuse a verb whose libraries are not installed; looks for them without importing any.

    Raises:
        InstallationError: some are missing.
    """
    missing = missing_modules(extra)
    if missing:
        raise InstallationError(
            f"`satori-bench {verb}` needs {_listed(missing)}, not installed here. Mend: {install_command(extra)}"
        )


def missing_modules(extra: str) -> list[str]:
    """Return the top-level modules of an extra that are not installed."""
    return [name for name in IMPORTED_BY_EXTRA[extra] if find_spec(name) is None]


def install_command(extra: str) -> str:
    """Return the command that brings an extra; torch and torchvision in one command come from the same build."""
    return f"pip install torch torchvision 'satori-bench[{extra}]'"


def require_imports(parts: Sequence[str], verb: str) -> None:
    """Import what a verb will import, so that what cannot work is said before weights are loaded.

    Args:
        parts: See `broken_imports`.
        verb: Named in the message.

    Raises:
        InstallationError: Some part cannot be imported.
    """
    broken = broken_imports(parts)
    if broken:
        found = broken_text(broken)
        raise InstallationError(f"`satori-bench {verb}` cannot work here: {found}. Mend: {versions_mend()}")


@contextmanager
def without_collecting() -> Generator[None]:
    """Leave Python's search for cycles of dead objects off while libraries are imported and models are loaded.

    It walks all that lives again and again and finds next to nothing: a sixth of the time that PyTorch,
    transformers and lmms-eval take.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@without_collecting()
def broken_imports(parts: Sequence[str]) -> list[BrokenImport]:
    """Import each part and return those that fail, in order.

    Args:
        parts: Module names. `module:function` also calls a function without arguments, for imports that a library
            puts off until then.
    """
    broken: list[BrokenImport] = []
    for part in parts:
        module, _, function = part.partition(":")
        try:
            imported = import_module(module)
            if function:
                getattr(imported, function)()
        except Exception as fault:  # noqa: BLE001 - a library that does not fit may raise anything while it is imported
            first_line = (str(fault).splitlines() or [""])[0]
            missing = (fault.name or "").partition(".")[0] if isinstance(fault, ModuleNotFoundError) else None
            broken.append(BrokenImport(part, f"{type(fault).__name__}: {first_line}", missing or None))
    return broken


def broken_text(broken: Sequence[BrokenImport]) -> str:
    """Say what cannot be imported; parts that fail for the same reason stand together."""
    by_reason: dict[str, list[str]] = {}
    for part in broken:
        by_reason.setdefault(part.reason, []).append(part.module)
    return "; ".join(f"{', '.join(modules)} cannot be imported ({reason})" for reason, modules in by_reason.items())


def versions_mend() -> str:
    """Say what to do about libraries that do not fit together: install the tested versions."""
    others = other_versions()
    if not others:
        return "install satori-bench anew in a fresh environment, with -c constraints.txt"
    pins = " ".join(f"'{other.package}=={other.tested}'" for other in others[:_NAMED_VERSIONS])
    more = len(others) - _NAMED_VERSIONS
    rest = f"; {more} more differ, see `satori-bench doctor`" if more > 0 else ""
    return f"pip install {pins} (the tested versions{rest})"


def versions_tested() -> dict[str, str]:
    """Return the versions that the test suite passed with, by normal name; none where nothing tells them.

    They come from the checkout's own file, or from the copy that the installed distribution carries.
    """
    file = Path(__file__).parents[1] / CONSTRAINTS_NAME
    if file.is_file() and (file.parent / "pyproject.toml").is_file():
        text = file.read_text(encoding="utf-8")
    else:
        try:
            text = metadata.distribution("satori-bench").read_text(f"extra_metadata/{CONSTRAINTS_NAME}") or ""
        except metadata.PackageNotFoundError:
            text = ""
    return dict(_PIN.findall(text))


def other_versions() -> list[OtherVersion]:
    """Return every installed package whose version is not the tested one; those that we import ourselves come first."""
    tested = versions_tested()
    found: list[OtherVersion] = []
    for package, version in tested.items():
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if (
            package not in _INSTALLERS and installed.partition("+")[0] != version
        ):  # torch says its build after a plus sign
            found.append(OtherVersion(package, installed, version))
    ours = _required()
    return sorted(found, key=lambda other: (other.package not in ours, other.package))


def explain_import(fault: ImportError) -> str:
    """Say in one line how to mend an import that failed in a verb; the empty text when no library is at fault."""
    top = (fault.name or "").partition(".")[0]
    if not top or top in OUR_FOLDERS:
        return ""
    extra = next((name for name, modules in IMPORTED_BY_EXTRA.items() if top in modules), None)
    if extra is not None and find_spec(top) is None:
        return f"{top} is not installed. Mend: {install_command(extra)}"
    return f"{fault}. Mend: {versions_mend()}"


def _required() -> set[str]:
    """Return the normal names of the packages that satori-bench itself asks for."""
    try:
        wanted = metadata.requires("satori-bench") or []
    except metadata.PackageNotFoundError:
        return set()
    names = (re.match(r"[\w.-]+", requirement) for requirement in wanted)
    return {re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name is not None}


def _listed(names: Sequence[str]) -> str:
    """Write names for a person, at most so many of them."""
    more = len(names) - _NAMED_VERSIONS
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED_VERSIONS])} and {more} more"
