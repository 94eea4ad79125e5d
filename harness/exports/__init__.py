"""A finished run in the files and services of other tools; nothing is scored here, and a null never becomes a 0."""
