"""Backends: each turns a Plan into something that runs; they are found by entry point."""
