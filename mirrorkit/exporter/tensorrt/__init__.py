"""TensorRT engines: graph, build, proof."""
