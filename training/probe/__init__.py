"""How noisy a checkpoint's policy gradient is under each reward."""
