"""A run on disk: journal, records, manifest, published folder. Outsiders call `store.load_run`."""
