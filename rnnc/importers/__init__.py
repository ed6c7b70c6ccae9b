"""Weights of other frameworks, as parameters of rnnc's standard library."""
