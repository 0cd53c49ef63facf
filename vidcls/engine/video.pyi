"""Open a video, learn what is in it from its packets, and decode the frames of a span by their time stamps, whatever is wrong with the file."""
from typing import Any as _Any
__all__ = ['VideoError', 'open_video', 'VideoInfo', 'probe_video', 'frame_times', 'in_span', 'promised_times', 'frames_between', 'good_frames', 'read_frames', 'to_rgb', 'iter_frames']
import errno, itertools, logging, math, os
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from .machine import file_stamp
logger = logging.getLogger('vidcls.engine.video')

class VideoError(ValueError):
    """A video that cannot be used: names the file, the reason and the way out, in one line that can be printed."""

    def __init__(self, text):
        ...

def _reason(e):
    ...

@lru_cache
def _no_lists():
    """FFmpeg's formats but for those that make it open other files. It goes by content, whatever the suffix."""
    ...

def _leave_others(container, stream):
    """Pass over the streams that nobody reads: a hole in one of them would end the reading of all."""
    ...

@contextmanager
def open_video(path):
    """The file's container and its video stream, decoding in one thread. Raises `VideoError`."""
    ...

@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, read from its packets."""
    path: str
    width: int
    height: int
    frames: int
    duration: float
    fps: float
    codec: str
    stamps: str
    clock: tuple = field(default=(), repr=False, compare=False)

def probe_video(path) -> VideoInfo:
    """Look at a video without decoding it. Remembers the answer while the file is unchanged. Raises `VideoError`."""
    ...

def _packets(container, stream):
    """The packets with something in them, up to the end or to where the file is cut off."""
    ...

def _rate(stream, stamped):
    """Frames per second by the header; a stream without stamps has a made-up average rate."""
    ...

def _short(ticks):
    """Sorted; as a range if they are evenly spaced, since thousands of these are remembered."""
    ...

def _are_fields(path, ticks):
    """Whether two packets make one picture, as in some interlaced films: then frames have every other packet's stamp."""
    ...

def _delay(path, ticks):
    """How many packets after its own a picture leaves the decoder."""
    ...

@lru_cache(maxsize=100000)
def _probe(path, _stat):
    ...

def frame_times(frames, stream, info):
    """When each frame is shown, by the kind of stamp that the file can be trusted with (FFmpeg's `guess_correct_pts`)."""
    ...

def in_span(t: float, start: float, end: float) -> bool:
    """Whether a frame belongs to the span, to within a nanosecond."""
    ...

def promised_times(info: VideoInfo, start: float, end: float) -> list:
    """The times in [start, end) at which the packets say that frames are shown."""
    ...

class _Decoder:
    """The frames of a stream, without those that cannot be decoded; `good` says whether the one just given is whole."""
    container: _Any
    error: _Any
    good: _Any
    lost: _Any
    stream: _Any

    def __init__(self, container, stream):
        ...

    def _pictures(self, packet):
        ...

    def __iter__(self):
        ...

class _BadSeek(Exception):
    """What came after a seek cannot be trusted."""

def _decode(container, stream, info, start, end):
    """Yield (seconds, frame, whether it is good) from the key frame before `start` until frames reach `end`."""
    ...

def _collect(path, info, seek_to, start, end, wanted):
    """Times of the good frames in [start, end), the wanted ones by number, and the times of the damaged ones."""
    ...

@lru_cache
def _warn_once(text):
    ...

def _say_damage(path, times, bad):
    """Raise if more than a tenth of a span is damaged, else say what is left out."""
    ...

def frames_between(path, info: VideoInfo, start: float, end: float, pick) -> tuple:
    """The frames shown in [start, end) that `pick(their times)` asks for by number. Raises `VideoError`."""
    ...

def good_frames(path):
    """Every frame of a video. Raises `VideoError` at the first damage."""
    ...

def read_frames(path, start: float=0.0, end: float=math.inf, pick=range) -> tuple:
    """Frames of a video as they are shown, full size. Raises `VideoError`."""
    ...

def to_rgb(frames: list, path) -> list:
    """Decoded frames in RGB, turned as the file asks. Raises `VideoError`."""
    ...

def _turned(a, frame):
    """A picture [H, W, C], turned by quarters and mirrored as the frame's matrix says."""
    ...

def iter_frames(path):
    """Every frame of a video as it is shown, full size, one at a time. Raises `VideoError`, also at the first damage."""
    ...
