"""A spec as an ONNX model: whole-sequence operators, and a node for every recurrence."""

from .exporter import export_onnx

__all__ = ["export_onnx"]
