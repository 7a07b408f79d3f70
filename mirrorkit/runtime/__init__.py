"""The light runtime: a bundle and numpy, tokenizers, onnxruntime; never torch, never a network."""
