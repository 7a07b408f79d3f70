"""Turn an encoder into ONNX graphs, quantise them, and publish them as one verified bundle."""
