"""Fixtures that several folders of tests share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_BUILDER = Path(__file__).parent / "local_data.py"


@pytest.fixture(scope="session")
def data_builder() -> ModuleType:
    """The module that draws local data: loaded by path, since tests are no package."""
    spec = importlib.util.spec_from_file_location("local_data_builder", _BUILDER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def local_data(data_builder, tmp_path_factory):
    """Drawn copies of the core benchmarks: `.parquet` and `.tsv` are folders for `--data-dir`."""
    return data_builder.build_local_data(tmp_path_factory.mktemp("benchmarks") / "data")
