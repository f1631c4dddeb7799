"""Memory that was freed, given back to the system.

A forecast of a thousand items takes a hundred and more MB for a moment. glibc keeps what is freed
of it for the next time, between small objects that live on; asked to, it gives back whole pages.
"""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Give back what can be; takes milliseconds."""
    # Another C library has no such call: it gives back by itself, or never.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
