"""The command line: one file a subcommand, each a thin layer over `rnnc.driver`.

Results go to stdout, what is said about them to stderr; of `check` the diagnostics are the result.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script `rnnc`."""
    from rnnc.cli.guard import run_guarded

    sys.exit(run_guarded(sys.argv[1:]))
