"""Watch a camera, a stream or a film that is being played, and report what happens as soon as it is certain."""
from typing import Any as _Any
__all__ = ['logger', 'SCHEMES', 'NO_STAMPS', 'source_kind', 'source_name', 'camera_address', 'open_stream', 'stream_frames', 'given_frames', 'from_zero', 'Pace', 'Ring', 'Feed', 'Moment', 'window_answer', 'stream', 'MomentLine', 'live_rows']
import json, logging, math, os, platform, re, sys, threading, time
from collections import deque
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
import numpy as np, torch
from fastcore.basics import patch
from scipy.special import softmax
from ..clips import ClipSpec
from .finder import actions, evidence, Finder, load_rule, Rule
from .progress import EVERY, on_terminal, say
from .video import probe_video, VideoError
from .windows import window_clips, Windows
from ..infer import loaded, run_inference
logger = logging.getLogger('vidcls.engine.live')
SCHEMES = ('http', 'https', 'rtsp', 'rtsps', 'rtmp', 'rtmps', 'udp', 'tcp', 'rtp', 'srt')

def source_kind(source) -> str:
    """What a source is. Raises `VideoError`."""
    ...

def source_name(source) -> str:
    """What a source is called in messages and results."""
    ...

def camera_address(source, system: str | None=None) -> tuple:
    """How FFmpeg opens a camera. Raises `VideoError`."""
    ...

def _listed(number):
    """The name of the camera with this number, on Windows. Raises `VideoError`."""
    ...

@contextmanager
def open_stream(source, timeout: float=10.0):
    """Open a camera or a URL. Raises `VideoError`."""
    ...

def _silent(name, timeout):
    ...
NO_STAMPS = 128

def stream_frames(source, timeout: float=10.0, now=time.monotonic):
    """The pictures of a camera or a URL, by its stamps or by arrival. Raises `VideoError`, also if it breaks off."""
    ...

def _pictures(container, stream):
    """Yield the pictures that can be decoded."""
    ...

def given_frames(pairs):
    """Pictures from a user's own camera, checked. Raises `VideoError`."""
    ...

def from_zero(pairs, name: str='The stream'):
    """Start time at 0, and continue from the last time if a source sets its clock back."""
    ...

class Pace:
    """Compares time stamps with the time that has passed."""
    last: _Any
    leap: float
    now: _Any
    speed: float
    zero: _Any

    def __init__(self, speed: float=1.0, leap: float=10.0, now=time.monotonic):
        ...

    def ahead(self, t: float) -> float:
        """How far a stamp is ahead of the clock."""
        ...

class Ring:
    """A bounded number of windows, between the thread that reads and the one that runs the model."""
    beat: _Any
    change: _Any
    closed: _Any
    done: _Any
    dropped: _Any
    error: _Any
    items: _Any
    n: int
    now: _Any

    def __init__(self, n: int=4, now=time.monotonic):
        ...

    def end(self, error: BaseException | None=None):
        """Say that nothing more will come."""
        ...

    def put(self, item, may_drop=lambda: False) -> bool:
        """Add an item; waits for room, or makes it."""
        ...

    def take(self, patience: float=math.inf) -> list | None:
        """Wait for items, and take them all."""
        ...

class Feed:
    """Reads a source in a thread, and keeps its windows in a ring."""
    frames: _Any
    kind: _Any
    live: _Any
    lock: _Any
    name: _Any
    pace: _Any
    ring: _Any
    source: _Any
    spec: ClipSpec
    speed: _Any
    thread: _Any
    timeout: float
    windows: _Any

    def __init__(self, source, spec: ClipSpec, stride: float=0.5, pace: float=0.0, live: bool | None=None, waiting: int=4, timeout: float=10.0):
        ...

    def _windows(self):
        """The windows, in the thread: (start, clip)."""
        ...

    def _work(self):
        ...

    def start(self):
        """Begin to read."""
        ...

    def close(self):
        """Stop reading. A camera that hangs may keep its thread until `timeout`."""
        ...

    def batches(self):
        """All windows; each batch contains those that are waiting."""
        ...

    def end(self) -> float:
        """When the film or the stream has ended."""
        ...

    def _say_end(self, error):
        """Say why a stream ended. Raises `VideoError` if it never began."""
        ...

@dataclass
class Moment:
    """What is known after a window."""
    seconds: float
    label: str | None
    score: float
    segments: list = field(default_factory=list)
    delay: float = 0.0
    dropped: int = 0

def window_answer(p: np.ndarray, labels: list, rule: Rule) -> tuple:
    """The answer for one window alone."""
    ...

def stream(model, source, stride: float=0.5, rule: Rule | None=None, device: str | None=None, revision: str | None=None, pace: float=0.0, live: bool | None=None, waiting: int=4, timeout: float=10.0, delay: int=240):
    """Find segments in a camera or a stream as they become certain, as `timeline` does. Raises `VideoError`."""
    ...

def _moments(net, spec, finder, feed):
    ...

def _ask(net, spec, finder, feed, batch):
    """The moments of some windows, which go through the model together."""
    ...

class MomentLine:
    """Shows the current answer on standard error."""
    last: _Any

    def __init__(self):
        ...

    def show(self, m: Moment):
        """Redraw the line, or write one to a log now and then."""
        ...

    def clear(self):
        """Remove the line from a terminal."""
        ...

def live_rows(model, source, out=None, show: bool=True, **options) -> list:
    """Print each segment as a line of JSON as soon as it is certain. Ctrl-C stops it cleanly. Raises `VideoError`."""
    ...

def _tell(m, name, rows, line, out):
    """Print the segments of a moment."""
    ...
