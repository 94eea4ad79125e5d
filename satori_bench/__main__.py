"""`python -m satori_bench`."""

from satori_bench import main

main()
