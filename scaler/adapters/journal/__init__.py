"""The flight recorder: what the loop and the lease service were told and answered, in files.

Imports adapters.http, control and below. Used by commands, which record, and by simulation, which
replays.
"""
