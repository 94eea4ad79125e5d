"""Logs of other programs become runs: read within bounds, checked for what their formats hide, scored again."""
