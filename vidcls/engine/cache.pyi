"""Keep decoded frames on disk or in memory, shared by all workers, within a limit, and give the room back."""
from typing import Any as _Any
__all__ = ['FrameCache', 'MemoryCache', 'frame_cache']
import atexit, hashlib, os, re, shutil, tempfile, time, warnings
from contextlib import contextmanager
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from .machine import home
from .video import in_span, iter_frames, probe_video, VideoError

def _npy_header(f, shape):
    """The head of a NumPy file of bytes; as long for any number of frames, so that it can be written again."""
    ...

def _write_frames(file, path):
    """Decode a whole video into a NumPy file [T, H, W, C], a frame at a time; returns the frames' times."""
    ...

def _times(file):
    ...

@contextmanager
def _temporary(folder, prefix):
    """A file for the frames, and with one more `.tmp` one for their times; both are gone at the end."""
    ...

class FrameCache:
    """Decoded frames of whole videos in a folder, up to a limit; shared by all processes that name the folder."""
    _left: _Any
    folder: _Any
    full: _Any
    max_bytes: int

    def __init__(self, folder, max_bytes: int=16 * 2 ** 30):
        ...

    def _lock(self):
        ...

    def _clean(self):
        """Remove what processes left that were killed, and files of an older layout."""
        ...

    def _booked(self, new=None):
        """Bytes in use and booked, as a small file says; it changes under the lock alone."""
        ...

    def _book(self, n):
        """Take room for `n` bytes if there is that much, or give back what is negative."""
        ...

    def size(self) -> int:
        """What the frames take up, with those that are just being decoded."""
        ...

    def _file(self, path):
        ...

    def _keep(self, tmp, path, file, booked):
        """Write the frames to `tmp`; give them their name if they fit and nobody else did so before."""
        ...

    def _fill(self, path, file):
        """Keep a video's frames if there is room."""
        ...

    def frames(self, path, start: float, end: float, pick) -> list | None:
        """The frames in [start, end) that `pick(their times)` asks for, as from decoding."""
        ...

    def close(self):
        """Nothing is to be done for a folder that stays."""
        ...

    def __enter__(self):
        ...

    def __exit__(self, *_):
        ...

def _remove_orphan(folder):
    """Remove a `MemoryCache`'s folder if its owner is gone."""
    ...

class MemoryCache(FrameCache):
    """A `FrameCache` in memory, for this process and its workers; `close` it, or use it in a `with` statement."""
    _alive: _Any
    _owner: _Any

    def __init__(self, memory, max_bytes: int):
        ...

    def __getstate__(self):
        ...

    def close(self):
        """Give the memory back."""
        ...

def frame_cache(kind: str | None, max_bytes: int | None=None) -> FrameCache | None:
    """A cache on disk below `home()`, which stays, or in memory, which goes when it is closed or the process ends."""
    ...
