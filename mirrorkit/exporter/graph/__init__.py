"""From the torch module to ONNX graphs: export, simplification, fusion, half precision."""
