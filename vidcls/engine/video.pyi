"""Open a video, find out from its packets what it contains, and decode the frames of a span by their time stamps, even if something is wrong with the file."""
from typing import Any as _Any
__all__ = ['VideoError', 'open_video', 'Segment', 'VideoInfo', 'probe_video', 'frame_times', 'in_span', 'promised_times', 'frames_between', 'decoded_frames', 'good_frames', 'read_frames', 'Upright', 'to_rgb', 'iter_frames']
import errno, itertools, logging, math, os
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
import numpy as np
from fastcore.basics import patch
from .members import file_size, file_stamp, open_member, split_member, without_places
logger = logging.getLogger('vidcls.engine.video')

class VideoError(ValueError):
    """A video that cannot be used. The message is one printable line with the file, the reason and what to do."""

    def __init__(self, text):
        ...

def _reason(e):
    ...

@lru_cache
def _no_lists():
    """FFmpeg's formats, without those that make it open other files."""
    ...

def _leave_others(container, stream):
    """Discard the other streams, because a gap in one of them would end the reading of all streams."""
    ...

@contextmanager
def _source(path):
    """What FFmpeg opens: a file's path, or a file object that shows a member of a tar file. Raises `VideoError`."""
    ...

def _stream(container, path):
    """The first video stream, to be decoded in one thread. Raises `VideoError`."""
    ...

@contextmanager
def open_video(path):
    """Open a file; yields its container and its video stream, decoded in one thread. Raises `VideoError`."""
    ...

@dataclass(frozen=True)
class Segment(os.PathLike):
    """A part of a video file; it can stand for the file wherever a path is expected. Raises `ValueError`."""
    path: str
    start: float = 0.0
    end: float = math.inf

    def __post_init__(self):
        ...

    def __fspath__(self):
        ...

    @property
    def times(self) -> str:
        """Its start and end, in words."""
        ...

    def __str__(self):
        ...

def _exact(seconds):
    ...

def _seconds(path, name, value):
    """A time as a float. Raises `ValueError` if it is not a number."""
    ...

@dataclass(frozen=True)
class VideoInfo:
    """What a video file contains, according to its packets."""
    path: str
    width: int
    height: int
    frames: int
    duration: float
    fps: float
    codec: str
    stamps: str
    clock: tuple = field(default=(), repr=False, compare=False)
    begin: float = field(default=0.0, repr=False)
    end: float = field(default=math.inf, repr=False)
    alone: bool = field(default=False, repr=False, compare=False)

def probe_video(path) -> VideoInfo:
    """Describe a video without decoding it. Remembers the answer until the file changes. Raises `VideoError`."""
    ...
_ROUNDED = 0.1

def _part(info, part):
    """The description of a part of a video. Raises `VideoError` if the video is too short for it."""
    ...

def _packets(container, stream):
    """The packets that are not empty, up to the end or to where the file is cut off."""
    ...

def _rate(stream, stamped):
    """Frames per second according to the header. Without time stamps, the guessed rate is better than the average one."""
    ...

def _short(ticks):
    """The sorted ticks, as a range if they are evenly spaced, which takes less memory."""
    ...

def _are_fields(path, ticks):
    """Whether two packets form one picture, as in some interlaced videos, so that frames have every other stamp."""
    ...

def _delay(path, ticks):
    """How many further packets the decoder reads before it returns a picture."""
    ...

def _stands_alone(codec_context, keys, ticks):
    """Whether each packet can be decoded alone; `keys` says for every packet whether it is a key frame."""
    ...

def _read_packets(container, stream, stamps):
    """Count packets; returns (which are key frames, their ticks, how many early ones have none, last tick, its length)."""
    ...

@lru_cache(maxsize=100000)
def _probe(path, _stat):
    ...

def frame_times(frames, stream, info):
    """When each frame is shown, by the time stamps that are reliable in this file (FFmpeg's `guess_correct_pts`)."""
    ...

def in_span(t: float, start: float, end: float) -> bool:
    """Whether a frame belongs to the span, with a tolerance of a nanosecond."""
    ...

def _seconds_of(info):
    """A function from a tick to the seconds since the start of the video."""
    ...

def _promised(info, start, end):
    """The ticks in [start, end) at which frames are shown, according to the packets."""
    ...

def promised_times(info: VideoInfo, start: float, end: float) -> list:
    """The times in [start, end) at which frames are shown, according to the packets."""
    ...

class _Decoder:
    """Iterates over the frames that can be decoded; `good` says whether the latest one is undamaged."""
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
    """The frames after a seek cannot be trusted."""

def _seek(container, stream, info, start):
    """Go to the last key frame before `start`, where that is possible and safe; returns whether it was."""
    ...

def _decode(container, stream, info, start, end):
    """Yield (seconds, frame, whether it is good) from the key frame before `start` until frames reach `end`."""
    ...

def _collect(path, info, seek_to, start, end, wanted):
    """The times of the good frames in [start, end), the wanted frames by index, and the times of the damaged frames."""
    ...

@lru_cache
def _warn_once(text):
    ...

def _say_damage(path, times, bad):
    """Raise `VideoError` if more than a tenth of a span is damaged; otherwise warn about what is left out."""
    ...

def _single_frames(container, stream, info, start, need):
    """Yield (tick, frame) for the ticks in `need`, decoding nothing else."""
    ...

def _skim(path, info, start, end, pick):
    """As `frames_between`, for a file whose packets can be decoded alone; None if it has to be read in full."""
    ...

def frames_between(path, info: VideoInfo, start: float, end: float, pick) -> tuple:
    """The frames shown in [start, end) that `pick(their times)` asks for by index. Raises `VideoError`."""
    ...

def decoded_frames(path, start: float=0.0):
    """Every frame from `start` on that can be decoded, in order. Raises `VideoError` if the rest cannot be decoded."""
    ...

def _from(path, info, start):
    """The frames after a seek."""
    ...

def good_frames(path):
    """Every frame of a video. Raises `VideoError` at the first damage."""
    ...

def read_frames(path, start: float=0.0, end: float=math.inf, pick=range) -> tuple:
    """The frames of a video at full size, as a player shows them. Raises `VideoError`."""
    ...

class Upright:
    """Turns the decoded frames of one video into pictures as a player shows them, arrays uint8 [H, W, C]."""
    rgb: _Any
    short: int | None
    tinies: _Any
    tiny: _Any

    def __init__(self, short: int | None=None):
        ...

    def __call__(self, frames):
        ...

def _smaller(frame, short):
    """What the converter needs to make a frame smaller; nothing if the frame is small enough."""
    ...

def _turned(a, frame):
    """A picture [H, W, C], rotated by quarter turns and mirrored as the frame's display matrix says."""
    ...

def to_rgb(frames: list, path, upright: Upright | None=None) -> list:
    """Decoded frames in RGB, rotated and mirrored as the file requires. Raises `VideoError`."""
    ...

def iter_frames(path, short: int | None=None):
    """Yield every frame of a video, as a player shows it. Raises `VideoError` at the first damage."""
    ...
