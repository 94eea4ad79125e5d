"""Ask a model: checkpoints, transformers, chat servers. The only package that loads model libraries."""
