"""What is kept for the next compilation: files in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`rnnc` in the user's cache; it need not exist. Raises RuntimeError without a home."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rnnc"
