"""Tokenize text in a Triton server: the first step of an ensemble that mirrorkit wrote.

Copied into the repository as model.py. It runs in Triton's Python backend with numpy and tokenizers alone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found,unused-ignore]  # Triton brings it
from tokenizers import Tokenizer

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # no UTF-8; counts as U+FFFD, as it does everywhere in mirrorkit


class TritonPythonModel:
    """Text [batch, 1] to ids and mask [batch, width], where width is one of a few, so that requests can be joined."""

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        settings = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._widths = [int(width) for width in settings["widths"].split(",")]
        self._pad_id = int(settings["pad_id"])
        self._tokenizer = Tokenizer.from_file(
            str(Path(args["model_repository"]) / args["model_version"] / "tokenizer.json")
        )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int(settings["max_length"]))
        kind = pb_utils.get_output_config_by_name(config, "input_ids")["data_type"]
        self._kind = pb_utils.triton_string_to_numpy(kind)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return one response a request, in their order; a request that is wrong gets an error of its own."""
        texts: list[str] = []
        counts: list[int | str] = []  # of each request: how many texts, or what is wrong with it
        for request in requests:
            try:
                own = [_text(row) for row in pb_utils.get_input_tensor_by_name(request, "text").as_numpy()]
            except ValueError as err:
                counts.append(f"text: {err}")
            else:
                texts += own
                counts.append(len(own))
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)] if texts else []
        responses, start = [], 0
        for count in counts:
            if isinstance(count, str):
                error = pb_utils.TritonError(count)
                responses.append(pb_utils.InferenceResponse(output_tensors=[], error=error))
            else:
                responses.append(self._response(ids[start : start + count]))
                start += count
        return responses

    def _response(self, rows: list[list[int]]) -> Any:
        longest = max((len(row) for row in rows), default=0)
        width = next(width for width in self._widths if width >= longest)
        input_ids = np.full((len(rows), width), self._pad_id, dtype=self._kind)
        mask = np.zeros_like(input_ids)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return pb_utils.InferenceResponse(
            output_tensors=[pb_utils.Tensor("input_ids", input_ids), pb_utils.Tensor("attention_mask", mask)]
        )


def _text(row: Any) -> str:
    (value,) = row.tolist()  # [1]
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
