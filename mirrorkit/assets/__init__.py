"""The files that ship with mirrorkit, and where they lie."""
