"""A bundle's plain graphs run by OpenVINO, beside ONNX Runtime."""
