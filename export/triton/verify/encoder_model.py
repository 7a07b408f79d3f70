"""Run the encoder's graph in the Python backend, as the ONNX Runtime backend would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found,unused-ignore]  # Triton brings it


class TritonPythonModel:
    """Joins the requests of a batch, whose shapes must be equal but for the first dimension, and parts the result."""

    def initialize(self, args: dict[str, str]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        graph = json.loads(args["model_config"])["parameters"]["graph"]["string_value"]
        file = Path(args["model_repository"]) / args["model_version"] / graph
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        names = ("input_ids", "attention_mask")
        rows = [[pb_utils.get_input_tensor_by_name(r, name).as_numpy() for name in names] for r in requests]
        feeds = {name: np.concatenate([row[i] for row in rows]) for i, name in enumerate(names)}
        (vectors,) = self._session.run(["sentence_embedding"], feeds)
        ends = np.cumsum([len(row[0]) for row in rows])[:-1]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("sentence_embedding", part)])
            for part in np.split(vectors, ends)
        ]
