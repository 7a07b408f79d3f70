"""Print where the library, its headers and its CMake and pkg-config files lie, for a build to use."""

import argparse
import sys

from mirrorkit_native import cmake_dir, include_dir, library_dir, pkg_config_dir, version

_PLACES = {
    "--cmake-dir": (cmake_dir, "for CMake: -Dmirrorkit_DIR=..."),
    "--include-dir": (include_dir, "of mirrorkit.h and mirrorkit.hpp"),
    "--library-dir": (library_dir, "of the library"),
    "--pkg-config-dir": (pkg_config_dir, "for PKG_CONFIG_PATH"),
    "--version": (version, "of the library"),
}


def main() -> None:
    parser = argparse.ArgumentParser("python -m mirrorkit_native", description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    for name, (place, what) in _PLACES.items():
        group.add_argument(name, dest="place", action="store_const", const=place, help=what)
    sys.stdout.write(f"{parser.parse_args().place()}\n")


if __name__ == "__main__":
    main()
