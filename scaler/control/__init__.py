"""The control loop: the state of each service, one tick over all of them, the published snapshot.

Imports policy and below, and reaches the world through its ports alone. Used by adapters, commands.
"""
