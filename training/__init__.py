"""A better checkpoint: data, SFT, GRPO, rewards and the loop. Knows `harness` and `tasks`."""
