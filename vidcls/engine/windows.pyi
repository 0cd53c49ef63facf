"""Cut overlapping clips out of a film or a stream, decode and convert each frame once, and keep only the frames of about one window in memory."""
from typing import Any as _Any
__all__ = ['logger', 'Windows', 'read_ahead', 'window_clips']
import logging, math, os, queue, re, threading
from collections import deque
import numpy as np, torch
from fastcore.basics import patch
from ..clips import ClipSpec, pick_frames, View, view_of_arrays
from .video import decoded_frames, in_span, probe_video, Segment, to_rgb, Upright, VideoError
logger = logging.getLogger('vidcls.engine.windows')

class Windows:
    """Turns frames that come in order into clips of a window that slides by `stride` seconds."""
    dropped: _Any
    emitted: _Any
    end: _Any
    held: _Any
    k: _Any
    large: int
    last: _Any
    name: str
    size: _Any
    skipped: _Any
    spec: ClipSpec
    stride: _Any
    upright: _Any

    def __init__(self, spec: ClipSpec, stride: float=0.5, name: str='The stream', large: int=2 ** 20):
        ...

    @property
    def start(self) -> float:
        """When the next window begins, in seconds."""
        ...

    def _rgb(self, frame):
        """The picture of a decoded frame."""
        ...

    def _small(self, entries):
        """The pictures of entries as the model sees them; their frames are released."""
        ...

    def _clip(self, start):
        """[(start, clip)], or nothing if no picture begins in the window."""
        ...

    def _next(self):
        """Go on to the next window, and drop the frames before the one that is done."""
        ...

    def push(self, t: float, frame) -> list:
        """Take the next frame. Raises `VideoError` if the pictures change their size."""
        ...

    def flush(self, end: float | None=None) -> list:
        """End the stream: complete the windows that are left, and add the tail."""
        ...

def read_ahead(items, n: int=32):
    """Run an iterator in a separate thread, at most `n` items ahead."""
    ...

def _file_windows(path, windows):
    ...

def window_clips(path, spec: ClipSpec, stride: float=0.5, ahead: int=32, first: int=0):
    """The clips of a window that slides over a file; each frame is decoded once. Raises `VideoError`."""
    ...
