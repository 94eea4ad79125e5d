"""One stage of training, SFT or GRPO: settings, launch, rewards, trainers."""
