"""Where the figures of README and docs/ come from: `python -m benchmarks` prints them again."""
