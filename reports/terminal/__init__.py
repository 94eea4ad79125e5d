"""What a person reads in a terminal; `printing` is the one way to stdout and stderr."""
