import json
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import ConfigError
from training.data.shapes import shapes_examples
from training.data.store import write_examples
from training.probe.probe import choose_examples, probe_to_json, read_data, run_probe
from training.probe.spec import ProbeSpec, check_probe, parse_reward_sets


class Silent:
    def task_started(self, task, rows, answered): ...
    def advanced(self): ...
    def task_finished(self, task): ...


class TestRewardSets:
    def test_the_usual_ones_of_a_grounded_format(self):
        assert parse_reward_sets((), "satori") == {
            "answer": ("answer",),
            "answer+format": ("format", "answer"),
            "answer+bbox": ("bbox", "answer"),
            "answer+caption": ("caption", "answer"),
            "all": ("format", "caption", "bbox", "answer"),
        }

    @pytest.mark.parametrize(
        ("form", "names"),
        [
            ("freeform", ["answer", "answer+format"]),
            ("satori-adaptive", ["answer", "answer+format"]),
            ("plain", ["answer"]),
        ],
    )
    def test_a_format_whose_boxes_may_be_missing_has_no_rewards_for_them(self, form, names):
        assert list(parse_reward_sets((), form)) == names

    def test_the_baseline_is_always_there_and_first(self):
        assert list(parse_reward_sets(("bbox", "all"), "satori")) == ["answer", "bbox", "all"]

    @pytest.mark.parametrize(
        ("texts", "form", "words"),
        [
            (("answer+boxx",), "satori", "Did you mean 'bbox'"),
            (("answer+answer",), "satori", "twice"),
            (("bbox+answer", "answer+bbox"), "satori", "are the same"),
            (("all", "format+caption+bbox+answer"), "satori", "are the same"),
            (("answer+bbox",), "freeform", "has no bbox reward"),
            (("",), "satori", "unknown reward ''"),
            (("answer+nonsense", "format+unknown"), "satori", "'unknown'"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, texts, form, words):
        with pytest.raises(ConfigError, match=words.replace("+", r"\+")):
            parse_reward_sets(texts, form)


class TestSpec:
    def test_fewer_than_fifty_prompts_are_refused_with_the_reason(self):
        with pytest.raises(ConfigError, match=r"--prompts 49: at least 50.*250.*noise"):
            check_probe(ProbeSpec("x", prompts=49))

    def test_fifty_prompts_are_enough_to_start(self):
        check_probe(ProbeSpec("x", prompts=50))

    def test_all_faults_are_reported_together(self, tmp_path):
        (tmp_path / "probe.json").touch()
        spec = ProbeSpec(
            "x",
            prompts=1,
            generations=1,
            temperature=float("nan"),
            max_new_tokens=0,
            coordinates=0,
            resamples=10,
            protocol="lmms-eval",
            out=tmp_path,
        )

        with pytest.raises(ConfigError) as told:
            check_probe(spec)

        for flag in ("prompts", "generations", "temperature", "max-new-tokens", "coordinates", "resamples", "out"):
            assert f"--{flag}" in str(told.value)

    def test_an_unknown_profile_of_shapes_is_named(self):
        with pytest.raises(ConfigError, match="shapes:huge"):
            read_data(ProbeSpec("x", data="shapes:huge"))


class TestChoice:
    SPEC = ProbeSpec("x", prompts=50)

    def test_no_two_prompts_share_an_image(self):
        one = list(shapes_examples("tiny", 60, 0))
        doubled = [*one, *(replace(example, id=f"{example.id} again") for example in one)]

        chosen = choose_examples(doubled, self.SPEC, ("answer",))

        assert len({example.image_sha256 for example in chosen}) == len(chosen) == 50

    def test_too_few_are_refused_with_what_was_left_out(self):
        examples = list(shapes_examples("tiny", 60, 0))
        poor = [replace(example, boxes_image_px=None) for example in examples[:30]]

        with pytest.raises(ConfigError, match=r"only \d+ examples.*asks for 50.*30 without boxes"):
            choose_examples([*poor, *examples[30:]], self.SPEC, ("answer", "bbox"))

    def test_gold_that_no_reward_needs_may_be_missing(self):
        examples = [replace(e, boxes_image_px=None, caption=None) for e in shapes_examples("tiny", 80, 0)]

        assert len(choose_examples(examples, self.SPEC, ("answer", "format"))) == 50

    def test_a_file_is_gone_through_in_an_order_that_the_seed_fixes(self, tmp_path):
        write_examples(tmp_path / "data.parquet", shapes_examples("tiny", 200, 0))
        spec = replace(self.SPEC, data=str(tmp_path / "data.parquet"))

        one, again, other = (
            [e.id for e in choose_examples(read_data(s), s, ("answer",))] for s in (spec, spec, replace(spec, seed=1))
        )

        assert one == again
        assert one != other

    def test_shapes_has_enough_distinct_images(self):
        spec = ProbeSpec("x", prompts=500)

        assert len(choose_examples(read_data(spec), spec, ("answer", "bbox", "caption"))) == 500


@pytest.fixture(scope="module")
def small(tmp_path_factory, one_thread):
    """Smaller than the demo's model, with a tokenizer that knows the prompts: seconds, not minutes."""
    from tasks.prompts import SUFFIX, SYSTEM
    from training.loop.tiny_model import TinyShape, build_tiny_qwen2_5_vl

    corpus = [SYSTEM["satori"], SUFFIX["satori"]] * 20
    shape = TinyShape(hidden=64, layers=1, heads=4, feed_forward=64, vision_layers=1)
    return build_tiny_qwen2_5_vl(tmp_path_factory.mktemp("small") / "model", corpus, shape=shape)


class TestBadInput:
    def test_a_checkpoint_that_cannot_see_is_refused(self, command, tiny_text_only):
        code, out, err = command("variance-probe", tiny_text_only)

        assert (code, out) == (2, "")
        assert "text-only" in err

    def test_a_missing_checkpoint_is_refused(self, command):
        code, _, err = command("variance-probe", "nowhere")

        assert code == 2
        assert "no folder nowhere" in err

    def test_too_few_prompts_are_refused_before_the_checkpoint_is_looked_at(self, command):
        code, _, err = command("variance-probe", "nowhere", "--prompts", 10)

        assert code == 2
        assert "--prompts 10" in err

    def test_missing_data_is_refused(self, command, tiny_qwen2_5_vl):
        code, _, err = command("variance-probe", tiny_qwen2_5_vl, "--data", "nowhere.parquet")

        assert code == 2
        assert "nowhere.parquet" in err

    def test_an_unknown_box_frame_is_refused_while_boxes_are_rewarded(self, command, tiny_llava):
        code, _, err = command("variance-probe", tiny_llava)

        assert code == 2
        assert "--box-frame" in err


@pytest.mark.slow
class TestRealRun:
    OPTIONS = ("--prompts", 50, "--generations", 4, "--max-new-tokens", 3, "--batch-size", 50, "--device", "cpu")

    def test_an_untrained_checkpoint_has_nothing_but_dead_groups_and_says_so(self, command, small, tmp_path):
        code, out, err = command("variance-probe", small, *self.OPTIONS, "--out", tmp_path / "probe", "--json")

        found = json.loads(out)
        assert code == 0
        assert found == json.loads((tmp_path / "probe" / "probe.json").read_text())
        assert (found["schema"], found["measure"], found["prompts"]) == (1, "fixed_policy_probe", 50)
        assert [row["reward_set"] for row in found["rows"]] == [
            "answer",
            "answer+format",
            "answer+bbox",
            "answer+caption",
            "all",
        ]
        for row in found["rows"]:
            assert row["dead_share"]["value"] == 1
            assert row["noise_to_signal"]["value"] is None
            assert row["noise_to_signal"]["reason"]
        assert "fewer than 250" in err
        assert "every group is dead" in err
        assert {"weights_hash", "data_hash", "rollouts_hash", "packages", "seed"} <= set(found["manifest"])
        lines = (tmp_path / "probe" / "rollouts.jsonl").read_text().splitlines()
        assert len(lines) == 200
        assert set(json.loads(lines[0])) == {"id", "repeat", "text", "tokens", "components", "faults"}

    def test_live_groups_are_compared_and_the_same_seed_gives_the_same_bytes(self, small, tmp_path, monkeypatch):
        """An untrained model earns nothing, so rewards are drawn in place of its scores; all else is real."""
        write_examples(tmp_path / "data.parquet", shapes_examples("tiny", 60, 0))
        earned = np.random.default_rng(0).random((4, 50, 2))
        monkeypatch.setattr(
            "training.probe.policy_gradients.reward_components",
            lambda rollouts: dict(zip(("format", "caption", "bbox", "answer"), earned, strict=True)),
        )
        spec = ProbeSpec(
            str(small),
            data=str(tmp_path / "data.parquet"),
            prompts=50,
            generations=2,
            max_new_tokens=2,
            coordinates=2_000,
            resamples=1_000,
            batch_size=50,
            device="cpu",
            out=tmp_path / "one",
        )

        probe = run_probe(spec, packages={"x": "1"}, listener=Silent())
        run_probe(replace(spec, out=tmp_path / "two"), packages={"x": "1"}, listener=Silent())

        assert (tmp_path / "one/probe.json").read_bytes() == (tmp_path / "two/probe.json").read_bytes()
        assert (tmp_path / "one/rollouts.jsonl").read_bytes() == (tmp_path / "two/rollouts.jsonl").read_bytes()
        for name, (figures, changes) in probe.figures.items():
            assert figures.trace.ci_low <= figures.trace.value <= figures.trace.ci_high
            assert figures.dead_share.value == 0
            assert (changes is None) == (name == "answer")
        assert probe.figures["all"][1].trace.ci_low is not None
        json.dumps(probe_to_json(probe), allow_nan=False)
        with pytest.raises(ConfigError, match="holds a finished probe"):
            run_probe(spec, packages={}, listener=Silent())

    def test_the_table_names_its_measure_and_the_claim(self, command, small):
        code, out, _ = command("variance-probe", small, *self.OPTIONS, "--reward-sets", "answer,all", "--seed", 1)

        assert code == 0
        assert "fixed-policy probe" in out
        assert "noise/signal [95 %]" in out
        assert "not measurable" in out
