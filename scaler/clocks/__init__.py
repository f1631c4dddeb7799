"""The clock that ages are measured by.

Imports the standard library alone. Used by whatever measures how old something is: the gateway in
Python, adapters and commands; the core is told the time.
"""
