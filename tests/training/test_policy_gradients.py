"""Gradients of a real tiny Qwen2.5-VL: what is combined from single completions is what one backward pass gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.values import Components, Score, ScoreConfig
from training.data.shapes import shapes_examples
from training.probe.covariance import group_advantages
from training.probe.policy_gradients import (
    Rollout,
    log_probability,
    prompt_gradients,
    reward_components,
    sample_rollouts,
    score_functions,
)
from training.probe.spec import ProbeSpec
from training.stages.gradient_noise import GradientSketch

pytestmark = pytest.mark.slow

SPEC = ProbeSpec("", generations=3, max_new_tokens=5, form="plain", coordinates=3_000, seed=3)
CONFIG = ScoreConfig(protocol="strict", format="plain")


class Silent:
    def task_started(self, task, rows, answered): ...
    def advanced(self): ...
    def task_finished(self, task): ...


class Counting(Silent):
    def __init__(self):
        self.steps = []

    def task_started(self, task, rows, answered):
        self.steps.append([task, rows, 0])

    def advanced(self):
        self.steps[-1][2] += 1


@pytest.fixture(scope="module")
def model(tiny_qwen2_5_vl):
    from harness.models.hf import SatoriHF

    return SatoriHF(str(tiny_qwen2_5_vl), device="cpu", batch_size=5, seed=SPEC.seed)


@pytest.fixture(scope="module")
def examples():
    return list(shapes_examples("tiny", 3, 0))


@pytest.fixture(scope="module")
def rollouts(model, examples):
    return sample_rollouts(model, examples, SPEC, CONFIG, Silent())


@pytest.fixture
def inputs(model, examples):
    from training.probe.policy_gradients import _alone

    return _alone(model, examples[0], SPEC)


@pytest.fixture
def with_gradients(model):
    model.module.requires_grad_(requires_grad=True)
    yield model
    model.module.zero_grad(set_to_none=True)
    model.module.requires_grad_(requires_grad=False)


@pytest.fixture
def few_tokens(model, monkeypatch):
    """The only tokens that can be drawn, so that all of them can be gone through."""
    few = range(100, 112)
    monkeypatch.setattr(
        model, "_suppressed_ids", frozenset(range(model.module.config.get_text_config().vocab_size)) - frozenset(few)
    )
    return few


def rewards(seed: int, shape=(3, 3)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


class TestRollouts:
    def test_every_prompt_gets_its_completions_and_progress_counts_them(self, model, examples):
        counting = Counting()

        found = sample_rollouts(model, examples, SPEC, CONFIG, counting)

        assert [len(group) for group in found] == [3, 3, 3]
        assert counting.steps == [["sampling completions", 9, 9]]

    def test_completions_of_one_prompt_differ(self, rollouts):
        assert all(len({rollout.token_ids for rollout in group}) > 1 for group in rollouts)

    def test_the_batch_size_does_not_change_what_is_drawn(self, model, examples, rollouts, monkeypatch):
        monkeypatch.setattr(model, "batch_size", 1)

        again = sample_rollouts(model, examples, SPEC, CONFIG, Silent())

        assert again == rollouts

    def test_picture_tokens_are_never_drawn(self, model, rollouts):
        drawn = {token for group in rollouts for rollout in group for token in rollout.token_ids}

        assert model.suppressed_ids
        assert not drawn & model.suppressed_ids

    def test_scores_are_those_of_the_one_scorer(self, examples, rollouts):
        from harness.scoring.score import score

        for example, group in zip(examples, rollouts, strict=True):
            for rollout in group:
                again = score(
                    example.sample(),
                    rollout.text,
                    CONFIG,
                    input_size=example.image_size,
                    truncated="truncated" in rollout.score.faults,
                )
                assert again == rollout.score

    def test_a_damaged_image_names_its_example(self, model, examples):
        from tasks.rows import DataError

        broken = replace(examples[0], image=b"no image")

        with pytest.raises(DataError, match=f"{examples[0].id}.*unreadable"):
            sample_rollouts(model, [broken], SPEC, CONFIG, Silent())

    def test_components_that_could_not_be_scored_are_not_numbers(self):
        half = Score(value=1.0, extracted="a", components=Components(answer=1.0, format=0.0))

        found = reward_components([[Rollout("a", (1,), half)]])

        assert found["answer"].tolist() == [[1.0]]
        assert np.isnan(found["bbox"]).all()


class TestLogProbability:
    def test_it_is_the_models_own_loss_where_no_token_is_suppressed(
        self, with_gradients, inputs, rollouts, monkeypatch
    ):
        monkeypatch.setattr(with_gradients, "_suppressed_ids", frozenset())
        tokens = list(rollouts[0][0].token_ids)
        ids = torch.cat([inputs["input_ids"], torch.tensor([tokens])], dim=1)
        longer = {
            **inputs,
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": torch.cat(
                [inputs["mm_token_type_ids"], torch.zeros(1, len(tokens), dtype=inputs["mm_token_type_ids"].dtype)],
                dim=1,
            ),
        }
        labels = torch.full_like(ids, -100)
        labels[0, -len(tokens) :] = torch.tensor(tokens)

        found = log_probability(with_gradients, inputs, tokens, 1.0)

        loss = with_gradients.module(**longer, labels=labels).loss
        assert found.item() == pytest.approx(-loss.item() * len(tokens), rel=1e-5)

    def test_probabilities_sum_to_one_over_the_tokens_that_can_be_drawn(self, with_gradients, inputs, few_tokens):
        with torch.no_grad():
            found = [log_probability(with_gradients, inputs, [token], 0.7).exp().item() for token in few_tokens]

        assert sum(found) == pytest.approx(1, rel=1e-5)

    def test_a_higher_temperature_flattens_it(self, with_gradients, inputs, few_tokens):
        with torch.no_grad():
            cold, warm = (
                max(log_probability(with_gradients, inputs, [token], t).item() for token in few_tokens)
                for t in (0.5, 5.0)
            )

        assert cold > warm


class TestGradients:
    @pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
    @pytest.mark.parametrize("scale_rewards", ["group", "none"])
    def test_what_is_combined_is_what_one_backward_pass_gives(
        self, model, examples, rollouts, loss_type, scale_rewards
    ):
        spec = replace(SPEC, loss_type=loss_type, scale_rewards=scale_rewards)
        sets = {"answer": rewards(1), "all": 4 * rewards(2)}

        found, sketch = prompt_gradients(model, examples, rollouts, sets, spec, Silent())

        from training.probe.policy_gradients import _alone

        lengths = np.array([[len(rollout.token_ids) for rollout in group] for group in rollouts])
        model.module.requires_grad_(requires_grad=True)
        for name, values in sets.items():
            advantages, _ = group_advantages(values, scale_rewards)
            for row, group in enumerate(rollouts):
                inputs = _alone(model, examples[row], spec)
                model.module.zero_grad(set_to_none=True)
                objective = sum(
                    float(advantages[row, place])
                    * log_probability(model, inputs, rollout.token_ids, 1.0)
                    / (len(rollout.token_ids) if loss_type == "grpo" else lengths.mean())
                    for place, rollout in enumerate(group)
                ) / len(group)
                objective.backward()
                direct = sketch.read().numpy()
                combined = found[name].gradients[row]
                assert np.linalg.norm(combined - direct) <= 1e-5 * np.linalg.norm(direct)
                assert np.linalg.norm(direct) > 0
        model.module.zero_grad(set_to_none=True)
        model.module.requires_grad_(requires_grad=False)

    def test_the_gradient_is_that_of_trls_grpo_loss(self, model, examples, rollouts):
        """TRL's loss_type=grpo: mean over completions of the token mean of -ratio * advantage, at ratio 1."""
        from training.probe.policy_gradients import _alone

        values = rewards(5)
        found, sketch = prompt_gradients(model, examples, rollouts, {"answer": values}, SPEC, Silent())
        spread = torch.tensor(values).std(dim=1, keepdim=True)
        advantages = (torch.tensor(values) - torch.tensor(values).mean(dim=1, keepdim=True)) / (spread + 1e-4)

        model.module.requires_grad_(requires_grad=True)
        model.module.zero_grad(set_to_none=True)
        inputs = _alone(model, examples[1], SPEC)
        losses = []
        for advantage, rollout in zip(advantages[1], rollouts[1], strict=True):
            log_p = log_probability(model, inputs, rollout.token_ids, 1.0) / len(rollout.token_ids)
            ratio = torch.exp(log_p - log_p.detach())
            losses.append(-torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage))
        torch.stack(losses).mean().backward()
        direct = -sketch.read().numpy()
        model.module.zero_grad(set_to_none=True)
        model.module.requires_grad_(requires_grad=False)

        assert np.linalg.norm(found["answer"].gradients[1] - direct) <= 1e-5 * np.linalg.norm(direct)

    def test_a_group_that_is_dead_under_every_set_costs_no_backward_pass(self, model, examples, rollouts, monkeypatch):
        import training.probe.policy_gradients as module

        seen = []
        whole = module.score_functions
        monkeypatch.setattr(
            module, "score_functions", lambda *arguments: seen.append(arguments[2]) or whole(*arguments)
        )
        values = rewards(7)
        values[1] = 0.5

        found, _ = prompt_gradients(model, examples, rollouts, {"answer": values}, SPEC, Silent())

        assert len(seen) == 2
        assert not found["answer"].gradients[1].any()
        assert found["answer"].dead.tolist() == [False, True, False]

    def test_equal_completions_have_equal_gradients(self, with_gradients, inputs, rollouts):
        sketch = GradientSketch(with_gradients.module.named_parameters(), coordinates=500)
        tokens, others = rollouts[0][0].token_ids, rollouts[0][1].token_ids

        found = score_functions(with_gradients, inputs, [tokens, others, tokens], SPEC, sketch)

        assert np.array_equal(found[0], found[2])
        assert not np.array_equal(found[0], found[1])

    def test_the_expected_score_function_is_zero(self, with_gradients, inputs, few_tokens):
        """Only because what is never drawn is left out: with all tokens' probabilities the sum would be far from 0."""
        sketch = GradientSketch(with_gradients.module.named_parameters(), coordinates=500)
        spec = replace(SPEC, temperature=0.7)
        with torch.no_grad():
            chances = [log_probability(with_gradients, inputs, [token], 0.7).exp().item() for token in few_tokens]

        found = score_functions(with_gradients, inputs, [(token,) for token in few_tokens], spec, sketch)

        assert np.abs(np.array(chances) @ found).max() < 1e-4 * np.abs(found).max()

    def test_the_model_is_left_without_gradients(self, model, examples, rollouts):
        prompt_gradients(model, examples, rollouts, {"answer": rewards(1)}, SPEC, Silent())

        assert all(p.grad is None and not p.requires_grad for p in model.module.parameters())

    def test_a_reward_that_is_not_a_number_is_refused(self, model, examples, rollouts):
        from harness.errors import ConfigError

        values = rewards(1)
        values[0, 0] = np.nan

        with pytest.raises(ConfigError, match="1 completions have no answer reward"):
            prompt_gradients(model, examples, rollouts, {"answer": values}, SPEC, Silent())
