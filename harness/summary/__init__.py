"""Scores of samples become the numbers of a benchmark and of a run (scores.json)."""
