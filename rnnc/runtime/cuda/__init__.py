"""Models on NVIDIA GPUs: loading, weights on the device, calls on tensors of any framework.

Imports neither TVM nor the compiler nor a framework: ctypes on the compiled library, and on CUDA's
runtime, which the library brings along.
"""
