"""Score the videos of a manifest in several processes, with a time limit for each video, and lose nothing that was finished."""
from typing import Any as _Any
__all__ = ['score_job', 'feature_job', 'views_job', 'make_forward', 'forward_or_error', 'make_scorer', 'serve', 'Worker', 'Pool', 'summary', 'run_shard']
import math, os, pickle, subprocess, sys, threading, time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from queue import Empty, Queue, SimpleQueue
import numpy as np
from fastcore.basics import patch
from .batch import fingerprint
from .loading import model_folder
from .machine import get_device
from .manifest import open_row, read_manifest, row_name
from .progress import progress_bar
from .record import saved_clips
from .results import Results
from .video import VideoError

def score_job(model, num_clips: int | None=None, num_crops: int=1, device: str | None=None, threads: int=1, revision: str | None=None) -> tuple:
    """The job of scoring videos, whose values are logits."""
    ...

def feature_job(checkpoint, num_clips: int=1, device: str | None=None, threads: int=1, revision: str | None=None) -> tuple:
    """The job of sending videos through a frozen network, whose values are the means of its tokens."""
    ...

def views_job(job: dict) -> dict:
    """The half of a job without the network: read the views of a video."""
    ...

def _of_model(job):
    ...

def _of_backbone(job):
    ...

def make_forward(job: dict):
    """Load the network of a job. With one thread on a CPU, its numbers are the same in every process."""
    ...

def forward_or_error(forward, row: dict, views, repeated: int=0) -> dict:
    """Send a video's views through the network. An error becomes the answer, so that the job continues."""
    ...

def _reason(row, e):
    ...

def make_scorer(job: dict):
    """Load the model of a job. If a video is damaged, the error becomes its answer."""
    ...

def serve():
    """Answer requests until standard input ends. The first one is the job, all others are rows."""
    ...
_MEMORY = dict(MALLOC_TRIM_THRESHOLD_=str(2 ** 28), MALLOC_MMAP_THRESHOLD_=str(2 ** 25))

class Worker:
    """A process that answers, seen from outside."""
    process: _Any
    rows: _Any
    since: _Any
    took: _Any

    def __init__(self, job: dict, inbox: Queue):
        ...

    def _send(self, what):
        ...

    def _listen(self, inbox):
        ...

    def ask(self, row: dict):
        """Send a row. The answer comes to the inbox."""
        ...

    def answered(self) -> dict:
        """Note that the process is done with a row, and is working on the next one from now on."""
        ...

    def stop(self):
        """End the process, whatever it is doing."""
        ...
_QUICK = 1.0

class Pool:
    """Worker processes with a time limit per video. Call it with rows, and close it at the end."""
    again: _Any
    inbox: _Any
    job: dict
    ready: _Any
    time_limit: float
    workers: _Any

    def __init__(self, job: dict, processes: int=1, time_limit: float=60):
        ...

    def __enter__(self):
        ...

    def __exit__(self, *error):
        ...

    def close(self):
        """End all processes."""
        ...

    def _replace(self, worker):
        """Stop a worker, start another one; returns the row that it was working on."""
        ...

    def _overdue(self):
        """(row, answer) of a worker that has taken too long, or None."""
        ...

    def _handle(self, worker, kind, content):
        """(row, answer) if this was one, otherwise None. Raises `ValueError` if no worker can do this job."""
        ...

    def _hand_out(self, rows):
        """Give rows to workers, first to those that have none; returns whether there may be more."""
        ...

    def __call__(self, rows):
        """Score rows. Raises `ValueError` if the model cannot be loaded."""
        ...

def summary(kept: Results, rows, todo) -> dict:
    """The result of a call, and how many of the videos failed."""
    ...

def run_shard(job: dict, identity: dict, manifest, out, shard=None, processes: int | None=None, time_limit: float=60, every: float=15, retry: bool=False, progress: bool=True) -> dict:
    """Score a shard's missing videos. `scored` counts those of this call, `failed` all of the shard that have no values."""
    ...
