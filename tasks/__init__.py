"""What is asked: one lmms-eval YAML and a thin adapter per benchmark, prompts, and the embedded Shapes benchmark."""
