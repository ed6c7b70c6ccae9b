"""The version, on its own: the build reads it without importing the rest."""

VERSION = "0.1.0"
