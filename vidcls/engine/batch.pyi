"""Predict thousands of videos in several processes, write each result down at once, and go on where it stopped."""
from typing import Any as _Any
__all__ = ['Journal', 'fingerprint', 'process_device', 'predict_files']
import hashlib, json, re, uuid
from pathlib import Path
import torch
from fastcore.basics import patch
from ..clips import video_probabilities
from .archive import sha256
from .machine import clip_loader, file_stamp, get_device, process_state, atomic_write
from .progress import progress_bar
from .record import saved_clips
from .run import difference
from .video import VideoError
from ..infer import load_trained, model_folder, run_inference, seen_views, top_labels, warn_repeats

def _stamp(video):
    ...

class Journal:
    """A file with one line of JSON per item, written by all processes as they come; a second run does what is missing."""
    file: _Any
    part: _Any
    rows: _Any
    run: _Any
    state: _Any

    def __init__(self, file, run: dict):
        ...

    def _parts(self):
        ...

    def _read(self, f):
        ...

    def mine(self, videos) -> list:
        """This process' share of what is missing, what failed, and what has changed since."""
        ...

    def write(self, video: str, **what):
        """Write down an item's results at once."""
        ...

    def finish(self, videos) -> list:
        """Put the parts together into one file, when all processes are done. Rows of other items stay."""
        ...

class _Views(torch.utils.data.Dataset):
    """The views of each video and how many frames repeat others, or why there are none."""
    args: _Any
    videos: _Any

    def __init__(self, videos, *args):
        ...

    def __len__(self):
        ...

    def __getitem__(self, i):
        ...

def fingerprint(folder) -> str:
    """What tells a model from another in a folder of the same name: a hash of its weights, configuration and clip spec."""
    ...

def process_device(device: str | None=None) -> str:
    """Where this process computes."""
    ...

def predict_files(model, videos: list, out, top_k: int=5, num_clips: int | None=None, num_crops: int=1, device: str | None=None, workers: int=0, progress: bool=True, revision: str | None=None) -> list:
    """Predict many videos, in one process or in several; goes on where it stopped."""
    ...

def _answer(net, spec, video, found, top_k):
    """What is written down for a video."""
    ...
