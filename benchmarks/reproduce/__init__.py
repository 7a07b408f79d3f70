"""The paper's models made again, by the official procedure and by ours, and laid beside what was published."""
