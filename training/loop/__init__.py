"""Benchmark, train, benchmark again, compare: every step resumable."""
