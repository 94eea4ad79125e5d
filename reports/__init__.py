"""Numbers become tables and pages. Knows the harness only and never loads a model."""
