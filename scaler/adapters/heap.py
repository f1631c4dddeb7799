"""Release of freed memory to the operating system.

A forecast of a thousand items needs more than a hundred MB for a moment. glibc keeps that memory
after it is freed, between small objects that live on; `malloc_trim` releases its whole pages.
"""

from __future__ import annotations

import ctypes


def release_free_memory() -> None:
    """Release the free memory that can be released; takes milliseconds."""
    # Other C libraries have no such call.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
