"""Round weights so that what a layer puts out changes least, given what it is fed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]

_BLOCK = 128  # rows whose errors are passed on together
_DAMPING = 0.01  # of the mean squared input, added to each: inputs that never vary say nothing of their weight


def round_weights(weights: Floats, inputs: Floats, scales: Floats, lowest: int, highest: int) -> Codes:
    """Return whole numbers [k, n] so that `inputs @ (codes * scales)` is close to `inputs @ weights`.

    `weights` [k, n], `inputs` [rows, k] as the layer will see them, `scales` [k, n] or [1, n]. Row after row is
    rounded, and what that costs is made up for by the rows still to come: GPTQ (Frantar et al., ICLR 2023), here with
    the inputs of largest energy first.
    """
    k, n = weights.shape
    energy = inputs.T.astype(np.float64) @ inputs
    mean = float(np.trace(energy)) / k
    energy[np.arange(k), np.arange(k)] += _DAMPING * mean if mean > 0 else 1.0
    order = np.argsort(-np.diag(energy), kind="stable")
    left = weights[order].astype(np.float64)
    steps = np.broadcast_to(scales, (k, n))[order]
    # Rows of the upper Cholesky factor of the inverse tell how a row's error is best spread over the later rows.
    spread = np.linalg.cholesky(np.linalg.inv(energy[np.ix_(order, order)])).T
    codes = np.empty((k, n), dtype=np.int8)
    for start in range(0, k, _BLOCK):
        end = min(start + _BLOCK, k)
        errors = np.empty((end - start, n))
        for i in range(start, end):
            row = np.clip(np.rint(left[i] / steps[i]), lowest, highest)
            codes[order[i]] = row
            errors[i - start] = (left[i] - row * steps[i]) / spread[i, i]
            left[i + 1 : end] -= np.outer(spread[i, i + 1 : end], errors[i - start])
        left[end:] -= spread[start:end, end:].T @ errors
    return codes
