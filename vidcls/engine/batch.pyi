"""Predict thousands of videos in several processes, save each result at once, and continue after an interruption."""
from typing import Any as _Any
__all__ = ['Journal', 'fingerprint', 'process_device', 'predict_files']
import hashlib, json, re, uuid
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
import torch
from fastcore.basics import patch
from ..clips import video_probabilities
from .archive import sha256
from .machine import clip_loader, get_device, process_state, atomic_write
from .members import file_stamp
from .progress import progress_bar
from .record import saved_clips
from .run import difference
from .tables import sources
from .video import Segment, VideoError
from vidcls.infer import is_rejected, load_trained, model_folder, reject_rule, run_inference, seen_views, top_labels, warn_repeats

def _stamp(video):
    ...

class Journal:
    """A file with one line of JSON per item. All processes write to it, and a second run does only what is missing."""
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
        """This process' share of the items that are missing, failed, or have changed since."""
        ...

    def write(self, video, **what):
        """Write an item's results to the part file at once."""
        ...

    def finish(self, videos) -> list:
        """Merge the parts into one file when all processes are done. Rows of other items are kept."""
        ...

class _Views(torch.utils.data.Dataset):
    """For each video its views and the number of repeated frames, or the reason why it cannot be read."""
    args: _Any
    videos: _Any

    def __init__(self, videos, *args):
        ...

    def __len__(self):
        ...

    def __getitem__(self, i):
        ...

def fingerprint(folder) -> str:
    """A hash of a model's weights, configuration and clip spec, which changes when the model is trained again."""
    ...

@lru_cache
def _hash_of(path, stamp):
    """A file's hash. It is computed again only if the file changes, since weights take a second per GB."""
    ...

def process_device(device: str | None=None) -> str:
    """The device that this process computes on."""
    ...

def predict_files(model, videos, out, top_k: int=5, num_clips: int | None=None, num_crops: int=1, device: str | None=None, workers: int=0, progress: bool=True, revision: str | None=None, reject: float | bool=False) -> list:
    """Predict many videos, in one process or several. A second call continues where the first one stopped."""
    ...

def _answer(net, spec, video, found, top_k, folder, reject):
    """The part of a video's row that is the model's answer, or an error."""
    ...
