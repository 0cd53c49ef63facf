"""Give a model's full answer for a visitor's video or webcam, in pieces that a page can show one by one."""
from typing import Any as _Any
__all__ = ['MOST_PIXELS', 'check_upload', 'plain_sentence', 'text_html', 'Answers', 'Camera']
import base64, html, io, logging, os, re, threading, time
from collections import deque
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from scipy.special import softmax
from .finder import Rule, RULE
from .live import given_frames, window_answer
from .record import saved_clips
from .video import probe_video, VideoError
from .windows import Windows
from ..gif import film_strip
from ..infer import loaded, predict, reject_rule, run_inference, seen_views
from ..see import check_method, explain, map_method
from ..when import plot_film, timeline
logger = logging.getLogger('vidcls.engine.answers')
MOST_PIXELS = 4096 * 2304

def check_upload(video, max_minutes: float=10.0):
    """Check an upload. Raises `VideoError` if it is not a video, or if it is too long or too large."""
    ...

def plain_sentence(error: Exception, video) -> str:
    """What is wrong, in one sentence that names the upload and shows no folder."""
    ...

def _figure(fig, about):
    """A matplotlib figure inside a page; it is closed."""
    ...

def _section(title, *parts):
    ...

def text_html(text: str) -> str:
    """A paragraph of text."""
    ...

class Answers:
    """The app's answer for a video, piece by piece."""
    busy: _Any
    calibrated: _Any
    clips: _Any
    how: _Any
    labels: _Any
    max_minutes: float
    method: str | None
    model: _Any
    no_map: _Any
    reject: float | bool
    rule: _Any

    def __init__(self, model, method: str | None='occlusion', reject: float | bool=False, max_minutes: float=10.0, device: str | None=None, revision: str | None=None):
        ...

    def _no_map(self):
        """Why this model's answers cannot be explained; empty if they can. Raises `ValueError` for an unknown method."""
        ...

    def _scores(self, video, info):
        """The labels with their probabilities, and notes about them."""
        ...

    def _frames(self, video):
        """The frames that the model was given."""
        ...

    def _map(self, video):
        """The heat map, or the reason why it is missing."""
        ...

    def _when(self, video, info):
        """What happens when, for a video of three clips or longer."""
        ...

    def pieces(self, video):
        """The answer for a video, as far as it is known so far. Raises `VideoError`."""
        ...

class Camera:
    """The last seconds of a visitor's webcam, and the model's answer for them."""
    answer: _Any
    answers: Answers
    asked: _Any
    few: _Any
    now: _Any
    pool: _Any
    times: _Any
    windows: _Any
    zero: _Any

    def __init__(self, answers: Answers, pool, now=time.monotonic):
        ...

    @property
    def span(self) -> float:
        """From the first picture in the buffer to the last."""
        ...

    @property
    def rate(self) -> float:
        """The rate at which frames arrive."""
        ...

    def push(self, picture: np.ndarray):
        """Take a frame that has just arrived. Raises `VideoError` for anything else."""
        ...

    def _ask(self, clip, since):
        """(label or None, score, seconds since the last picture)."""
        ...

    def said(self) -> tuple:
        """What the page shows."""
        ...
