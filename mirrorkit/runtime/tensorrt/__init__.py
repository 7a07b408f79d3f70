"""Engines on a GPU, by TensorRT itself or through ONNX Runtime."""
