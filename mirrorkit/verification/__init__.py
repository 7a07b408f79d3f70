"""Prove a bundle against the model it came from, and check any bundle later: numpy and onnxruntime, never torch."""
