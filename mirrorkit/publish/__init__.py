"""Write a folder or a file all or nothing: made in a workshop beside its target, moved into place when it is whole."""

from mirrorkit.publish.publishing import publish_file, publish_folder, write_whole
from mirrorkit.publish.shared import publish_shared, sweep
from mirrorkit.publish.targets import check_file_target, check_space, check_target
from mirrorkit.publish.workshop import repair

__all__ = [
    "check_file_target",
    "check_space",
    "check_target",
    "publish_file",
    "publish_folder",
    "publish_shared",
    "repair",
    "sweep",
    "write_whole",
]
