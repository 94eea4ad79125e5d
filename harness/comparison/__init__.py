"""Runs beside each other, sample by sample. Outsiders call `compare.compare_runs`; all pages read its value."""
