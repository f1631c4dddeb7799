"""A contest of rate limiters in generated scenes; `python -m benchmarks shedding` prints it.

tidegate's contender is the production control loop, lease service and gateway limiter. What the
rivals do was written after the papers and programs that each of them names.
"""
