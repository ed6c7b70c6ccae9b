"""ONNX models to `.rnn`: recurrent operators and Scan as equations, weights by path."""

from .importer import Imported, import_onnx

__all__ = ["Imported", "import_onnx"]
