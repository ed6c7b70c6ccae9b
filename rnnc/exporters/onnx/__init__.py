"""A spec as an ONNX model: whole-sequence operators, and a node for every recurrence."""

from .exporter import export_onnx
from .node import export_node

__all__ = ["export_node", "export_onnx"]
