"""How the cost of encoding and of fine-tuning grows: `python -m benchmarks.growth`."""
