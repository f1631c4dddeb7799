"""The gateway in Python: its core by tables and properties, its shell against real servers."""
