"""Load a bundle with fastembed as a custom model from its local folder."""

from __future__ import annotations

import sys
from importlib.metadata import version

from compare import compare, read_expected
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

bundle, expected_file = sys.argv[1:]
texts, expected, pooling = read_expected(expected_file)
kind = PoolingType.CLS if pooling == "cls" else PoolingType.MEAN
TextEmbedding.add_custom_model(
    model="bundle",
    pooling=kind,
    normalization=True,
    sources=ModelSource(hf="local/bundle"),
    dim=expected.shape[1],
    model_file="onnx/model.onnx",
)
model = TextEmbedding("bundle", specific_model_path=bundle)
compare(f"fastembed {version('fastembed')}", list(model.embed(texts)), expected)
