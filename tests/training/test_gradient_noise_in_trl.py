"""The documented hook in TRL's own GRPOTrainer: what the sketch adds up to is the gradient that the Trainer clips."""

import pytest

from training.stages.gradient_noise import GradientSketch, NoiseEstimate, why_unsupported

pytestmark = pytest.mark.slow


def reward_length(completions, **columns):
    return [float(len(completion[0]["content"])) for completion in completions]


@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
def test_the_windows_signal_and_noise_add_up_to_the_logged_grad_norm(loss_type, tiny_qwen2_5_vl, tmp_path):
    from datasets import Dataset, Image
    from transformers import AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    from tasks.shapes import generate

    class Watched(GRPOTrainer):
        """As the module's docstring says, over every coordinate."""

        def __init__(self, **arguments):
            super().__init__(**arguments)
            parameters = list(self.model.named_parameters())
            everything = sum(parameter.numel() for _, parameter in parameters)
            self.sketch = GradientSketch(parameters, coordinates=everything)
            self.found = []
            assert why_unsupported(self.accelerator) is None

        def training_step(self, model, inputs, num_items_in_batch):
            loss = super().training_step(model, inputs, num_items_in_batch)
            self.sketch.add_micro_batch()
            if self.accelerator.sync_gradients:
                self.found.append(self.sketch.finish_window())
            return loss

    rows = [generate("tiny", "train", index, 0) for index in range(8)]
    images = [{"bytes": row.png(), "path": None} for row in rows]
    prompts = [[{"role": "user", "content": row.question}] for row in rows]
    data = Dataset.from_dict({"prompt": prompts, "image": images}).cast_column("image", Image())
    config = GRPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=4,
        num_generations=4,
        max_completion_length=6,
        max_steps=2,
        logging_steps=1,
        learning_rate=1e-4,
        max_grad_norm=1.0,
        loss_type=loss_type,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_num_workers=0,
    )
    processor = AutoProcessor.from_pretrained(tiny_qwen2_5_vl, padding_side="left")
    trainer = Watched(
        model=str(tiny_qwen2_5_vl),
        reward_funcs=[reward_length],
        args=config,
        train_dataset=data,
        processing_class=processor,
    )

    trainer.train()

    norms = [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]
    assert len(norms) == len(trainer.found) == 2
    for norm, found in zip(norms, trainer.found, strict=True):
        assert isinstance(found, NoiseEstimate)
        assert found.micro_batches == 4
        assert found.variance > 0
        assert found.mean2 + found.variance / 4 == pytest.approx(norm**2, rel=1e-4)
