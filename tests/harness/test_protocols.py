"""A protocol is named by a short word or with the version that is followed here; any other version is refused."""

from __future__ import annotations

import json

import pytest

from harness.errors import ConfigError
from harness.runs.lookup import find_scores
from harness.scoring.protocols import PEER_VERSIONS, protocol_named, versioned
from harness.scoring.score import SCORER_VERSION
from harness.values import NATIVE, PROTOCOLS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_is_named_by_its_word_or_by_the_version_that_is_followed(protocol):
    assert (protocol, protocol) == (protocol_named(protocol), protocol_named(versioned(protocol, SCORER_VERSION)))


def test_every_protocol_but_ours_follows_a_version_of_another_program():
    assert dict(PEER_VERSIONS) == {"vlmevalkit": "e8e78f05", "paper": "7faa5b47", "lmms-eval": "0.7.3", NATIVE: "0.7.3"}
    assert {*PROTOCOLS, NATIVE} - {"strict"} == set(PEER_VERSIONS)
    assert versioned("strict", 6) == "strict@6"
    assert versioned("strict", 0) == "strict"  # a run of before that does not tell


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("vlmevalkit@deadbeef", "follows, vlmevalkit@e8e78f05"),
        ("vlmevalkit@e8e78f05a", "follows, vlmevalkit@e8e78f05"),
        ("vlmevalkit@", "follows, vlmevalkit@e8e78f05"),
        ("lmms-eval@0.7.2", "give 'lmms-eval' for that one"),
        ("paper@e8e78f05", "follows, paper@7faa5b47"),
        (f"strict@{SCORER_VERSION + 1}", f"follows, strict@{SCORER_VERSION}"),
        ("strict@latest", f"follows, strict@{SCORER_VERSION}"),
        ("vlmeval@e8e78f05", "Did you mean 'vlmevalkit'?"),
        ("VLMEvalKit", "is no protocol"),
        ("", "is no protocol"),
        ("@e8e78f05", "is no protocol"),
    ],
)
def test_another_version_is_refused_with_the_one_that_there_is(words, told):
    with pytest.raises(ConfigError) as fault:
        protocol_named(words)

    assert told in str(fault.value)


def test_later_scores_are_found_by_word_and_by_version(tmp_path):
    runs = tmp_path / "runs"
    (runs / "a@b").mkdir(parents=True)
    (runs / "a@b" / "manifest.json").write_text(json.dumps({}), encoding="utf-8")

    for words in ("vlmevalkit", "vlmevalkit@e8e78f05"):
        assert (runs / "a@b", "vlmevalkit") == find_scores(f"a@b@{words}", runs)
    for words in ("vlmevalkit@e8e78f06", "strict@x"):
        with pytest.raises(ConfigError, match="not the version"):
            find_scores(f"a@b@{words}", runs)
    with pytest.raises(ConfigError, match="RUN@PROTOCOL takes"):
        find_scores("a@b@vlmeval", runs)
