"""Tests of what refuses a run before its model is asked again."""

import os

import pytest

from harness.errors import ConfigError
from harness.runs.journal import StoreError
from tasks.asked_again import open_asked_run


@pytest.fixture
def folder(invented, tmp_path):
    """A finished run that nobody's model made."""
    return invented.invent_run(tmp_path / "runs", invented.Answerer("base"), invented.shapes_questions(2, "tiny"))


def test_a_folder_that_takes_no_file_is_refused_before_anything_is_asked(folder, monkeypatch):
    asked = []

    def refused(path, mode):
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", refused)

    with pytest.raises(StoreError, match="Copy the run to a folder that you may write to"):
        open_asked_run(folder, {})
    assert asked == [(folder, os.W_OK | os.X_OK)]


def test_a_run_that_no_model_of_ours_made_is_refused(folder):
    with pytest.raises(ConfigError, match="was not made by `run`"):
        open_asked_run(folder, {})
