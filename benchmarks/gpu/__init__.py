"""What this project does on an NVIDIA GPU, in one short run: `python -m benchmarks.gpu`."""
