"""libmirrorkit from Python: token ids and vectors of a bundle by way of ctypes, with no other package.

    >>> from mirrorkit_native import Encoder
    >>> encoder = Encoder("bundle")
    >>> vectors = numpy.asarray(encoder.encode(["A cat sat on the mat."]))

For C and C++ the same package holds the library, its headers and its CMake and pkg-config files:
`python -m mirrorkit_native --cmake-dir` and others print where.
"""

from mirrorkit_native.encoder import Encoder, NativeError, version
from mirrorkit_native.places import cmake_dir, include_dir, library_dir, pkg_config_dir

__all__ = [
    "Encoder",
    "NativeError",
    "cmake_dir",
    "include_dir",
    "library_dir",
    "pkg_config_dir",
    "version",
]
