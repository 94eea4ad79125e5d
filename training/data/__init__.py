"""Training examples: read from any source, checked row by row, stored."""
