"""Convert a model to CTranslate2's format (runs in .venv-ctranslate2); it is rounded when it is opened.

python make_ctranslate2.py MODEL OUT   # OUT/model.bin, config.json, vocabulary.json
"""

from __future__ import annotations

import sys

from ctranslate2.converters import TransformersConverter  # type: ignore[import-not-found]

source, out = sys.argv[1:]
TransformersConverter(source).convert(out, force=True)  # the folder is there, and empty
