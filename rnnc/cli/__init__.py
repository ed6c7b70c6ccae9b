"""The command line: one file a subcommand, each a thin layer over `rnnc.driver`.

Results go to stdout, what is said about them to stderr; of `check` the diagnostics are the result.
"""

from __future__ import annotations

import gc
import sys

# A command makes many objects that stay until it ends. Looking for garbage among them as often as
# Python does by itself costs `rnnc check` a tenth of its time.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


def main() -> None:
    """The console script `rnnc`."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from rnnc.cli.guard import run_guarded

    sys.exit(run_guarded(sys.argv[1:]))
