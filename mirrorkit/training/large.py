"""From which size on a corpus is not looked at as a whole. No import here: the command line reads it for its help."""

LARGE = 200_000  # strings; of more a part is looked at, and near-duplicates are those equal but for case and digits
