"""Is the verdict without labels to be trusted? Trainings that help and that hurt, held against labelled sets."""
