"""`python -m rnnc` is the command `rnnc`."""

from rnnc.cli import main

main()
