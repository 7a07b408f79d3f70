"""From the vectors of a new encoder to the space of an old one, whose stored vectors then need not be made again."""
