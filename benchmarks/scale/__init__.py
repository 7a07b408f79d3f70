"""What a job of shards costs beside encoding: measured here, and simulated for more machines than there are."""
