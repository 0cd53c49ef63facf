"""Keep decoded frames on disk or in memory, share them among all workers, stay within a limit, and free the space at the end."""
from typing import Any as _Any
__all__ = ['CACHES', 'FrameCache', 'MemoryCache', 'known_cache', 'frame_cache']
import atexit, hashlib, math, os, re, shutil, tempfile, time, warnings
from contextlib import contextmanager
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from .machine import home
from .members import file_stamp
from .video import in_span, iter_frames, probe_video, VideoError

def _npy_header(f, shape):
    """Write the header of a NumPy file of bytes. Its length is fixed, so it can be rewritten later."""
    ...

def _write_frames(file, path, short=None):
    """Decode a whole video into a NumPy file [T, H, W, C], frame by frame, and return the frames' times."""
    ...

def _times(file):
    ...

@contextmanager
def _temporary(folder, prefix):
    """A temporary file for the frames, and a name with `.tmp` added for their times; removes both at the end."""
    ...

class FrameCache:
    """Decoded frames of whole videos in a folder, up to a limit; shared by all processes that name the folder."""
    _left: _Any
    folder: _Any
    full: _Any
    max_bytes: int
    short: int | None

    def __init__(self, folder, max_bytes: int=16 * 2 ** 30, short: int | None=None):
        ...

    def _lock(self):
        ...

    def _clean(self):
        """Remove what killed processes left behind, and files of an older layout."""
        ...

    def _booked(self, new=None):
        """Bytes in use and reserved, read from a small file, which may be changed only under the lock."""
        ...

    def _book(self, n):
        """Reserve `n` bytes if they are free; a negative `n` gives bytes back. Returns whether there was enough space."""
        ...

    def size(self) -> int:
        """The space that the frames take up, including those that are being decoded."""
        ...

    def _file(self, path):
        ...

    def _keep(self, tmp, path, file, booked):
        """Write the frames to `tmp`, and rename it to `file` if it fits and no other process was faster."""
        ...

    def _fill(self, path, file):
        """Keep a video's frames if there is space; returns whether they are in the cache."""
        ...

    def frames(self, path, start: float, end: float, pick) -> list | None:
        """The frames in [start, end) that `pick(their times)` asks for, the same as decoding would give."""
        ...

    def close(self):
        """Do nothing, because a cache on disk stays for the next run."""
        ...

    def __enter__(self):
        ...

    def __exit__(self, *_):
        ...

def _bytes(info, short):
    """The space for the frames of a video. Their times, and the headers of the files, are small."""
    ...

def _remove_orphan(folder):
    """Remove a `MemoryCache`'s folder if the process that owned it has ended."""
    ...

class MemoryCache(FrameCache):
    """A `FrameCache` in memory, for this process and its workers; `close` it, or use it in a `with` statement."""
    _alive: _Any
    _owner: _Any

    def __init__(self, memory, max_bytes: int, short: int | None=None):
        ...

    def __getstate__(self):
        ...

    def close(self):
        """Free the memory, if this process owns the cache."""
        ...
CACHES = ('ram', 'disk', 'ram-small', 'disk-small')

def known_cache(kind):
    """Raise `ValueError` if it is neither None nor one of `CACHES`."""
    ...

def frame_cache(kind: str | None, max_bytes: int | None=None, short: int | None=None) -> FrameCache | None:
    """A cache on disk below `home()`, which stays, or one in memory, which is removed when it is closed or at exit."""
    ...
