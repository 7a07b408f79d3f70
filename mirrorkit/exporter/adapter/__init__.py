"""An adapter at the end of a bundle's graphs: adapted vectors in every runtime, with nothing that applies it."""
