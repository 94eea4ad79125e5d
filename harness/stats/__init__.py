"""Intervals, paired tests and ranks over clusters of samples; knows no benchmark and no run."""
