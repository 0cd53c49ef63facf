"""Process many videos, store the model's answers, continue after an interruption, and show the result on a page."""
from typing import Any as _Any
__all__ = ['COLOURS', 'KeptWindows', 'kept_timeline', 'timelines', 'all_segments', 'chart', 'timeline_page']
import base64, hashlib, html, json, math, os
from pathlib import Path
from urllib.parse import quote
import numpy as np
from fastcore.basics import patch
from filelock import FileLock
from scipy.special import softmax
from .batch import fingerprint, process_device
from .finder import load_rule, Rule
from .machine import process_state
from .members import file_stamp
from .page import gif_uri, picture_uri, write_page
from .progress import progress_bar
from .segments import as_vtt, clock, printable, segment_table
from .video import probe_video, read_frames, VideoError
from .windows import window_clips
from ..infer import loaded
from ..when import Timeline, window_count, window_logits

class KeptWindows:
    """The windows of one video in a file, which an interrupted run can continue."""
    about: _Any
    done: _Any
    file: _Any
    rows: _Any
    starts: _Any

    def __init__(self, file, about: dict):
        ...

    def _take(self, starts, probabilities, done):
        ...

    def add(self, starts: list, probabilities: np.ndarray, done: bool=False):
        """Write the next windows at once."""
        ...

    def next_window(self, stride: float) -> int:
        """The first window that is missing."""
        ...

def kept_timeline(model, video, folder, stride: float=0.5, rule: Rule | None=None, batch_size: int=8, device: str | None=None, revision: str | None=None, progress: bool=True) -> Timeline:
    """As `timeline`, but an interrupted run continues where it stopped. Raises `VideoError`."""
    ...

def _watch(kept, net, spec, video, end, stride, batch_size, progress):
    """Run the model on the missing windows."""
    ...

def timelines(model, videos, folder, stride: float=0.5, rule: Rule | None=None, device: str | None=None, revision: str | None=None, progress: bool=True) -> tuple:
    """Find out what happens when in many videos. Under `torchrun` the processes share the videos."""
    ...

def all_segments(found: list) -> 'pd.DataFrame':
    """The segments of several videos in one table."""
    ...
COLOURS = ('#4e79a7', '#f28e2b', '#e15759', '#76b7b2', '#59a14f', '#edc948', '#b07aa1', '#ff9da7', '#9c755f', '#888')
_STYLE = '.s{width:100%;min-width:40rem;height:auto}.s text{font:9px sans-serif;fill:currentColor}\n.s .l{fill:#fff}td:first-child,th:first-child{text-align:left}.f{display:flex;min-width:40rem}.f img{flex:1;min-width:0}\nvideo{max-width:100%}td img{display:block;width:160px}\ni{display:inline-block;width:.8em;height:.8em;margin-right:.4em}'
_SCRIPT = '<script>for (const a of document.querySelectorAll("a[data-t]")) a.onclick = e => {\nconst v = a.closest("section").querySelector("video"); e.preventDefault();\nif (v) { v.currentTime = a.dataset.t; v.play(); v.scrollIntoView({block: "nearest"}); } }</script>'
_W = 1000

def _x(t, seconds):
    ...

def _bars(t, colour):
    """A bar for each segment, with its name if there is room."""
    ...

def _curves(t, colour, height=90):
    """The probability over time of each label that occurs; at most 1,000 points, each the maximum around it."""
    ...

def _axis(t, y):
    """The time axis below the curves."""
    ...

def chart(t: Timeline) -> str:
    """The segments of a video, and the probabilities from which they were found."""
    ...

def _thumbnails(t, n=10):
    """Frames along the time axis."""
    ...

def _at(video, start, seconds=0.0, n=1, least=1.0):
    """`n` frames of a video from a moment on, [n, H, W, C]; None where it cannot be read."""
    ...

def _short(seconds):
    ...

def _row(t, r, gif):
    ...

def _player(t, page):
    """A player with subtitles, if the page can find the video."""
    ...

def timeline_page(found: list, file, bad: dict | None=None, title: str='What happens when', gifs: int=60) -> Path:
    """Write a page with the segments, curves and pictures of videos."""
    ...
