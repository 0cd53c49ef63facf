"""Store the results of millions of videos in Parquet files that appear completely or not at all, continue exactly where a killed process stopped, and never mix results that do not belong together."""
from typing import Any as _Any
__all__ = ['logger', 'result_schema', 'result_row', 'Results', 'remove_cut', 'newest', 'rehearse_resume', 'read_results', 'is_results']
import json, logging, time, uuid
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from filelock import FileLock, Timeout
from .machine import atomic_write, disk_errors
from .manifest import parse_shard
logger = logging.getLogger('vidcls.engine.results')
_KNOWN = ('id', 'version', 'path', 'member', 'start', 'end', 'split', 'label', 'group')

def result_schema():
    """The columns of a file of results."""
    ...

def result_row(row: dict, answer: dict) -> dict:
    """The row of a video."""
    ...

class Results:
    """A folder with results, and the right to write one shard of it. Use it in a `with` block."""
    _held: _Any
    _last: _Any
    _small: _Any
    _waiting: _Any
    folder: _Any
    identity: _Any
    rows: int
    seconds: float
    shard: _Any

    def __init__(self, folder, identity: dict, shard=None, seconds: float=15, rows: int=1000):
        ...

    def _claim(self):
        """Create the folder, or make sure that it holds results of this job."""
        ...

    def _hold(self):
        """Take the lock of this shard. Raises `ValueError` if another process works on the same videos."""
        ...

    def __enter__(self):
        ...

    def __exit__(self, *error):
        ...

    def add(self, row: dict, answer: dict):
        """Add a video's result, and write the waiting rows if it is time."""
        ...

    def _write(self, table):
        ...

    def flush(self):
        """Write the waiting rows."""
        ...

    def states(self, table) -> np.ndarray:
        """The state of videos according to the folder."""
        ...

    def missing(self, table, retry: bool=False) -> np.ndarray:
        """Which videos must be processed: those without a row, and those that have changed since."""
        ...

def _job(folder):
    ...

def _parts(folder, columns):
    """The tables of all complete files of results."""
    ...

def remove_cut(folder):
    """Remove the files that were cut short."""
    ...

def newest(ids: np.ndarray, at: np.ndarray) -> np.ndarray:
    """For each video, the row that was written last."""
    ...

def _told(table):
    """(ids, versions, at, states) of a file, by increasing id and then by time."""
    ...

def _as_if_scored(kept, ids, cut):
    """Write a file of results for videos; `cut`: the driver is killed half-way."""
    ...

def _drive(kept, table, file_rows, share):
    """What a driver does. share < 1: it is killed in the middle of a file when it has written this share of them."""
    ...

def rehearse_resume(folder, videos: int=10 ** 7, kills: int=4, file_rows: int=5000, seed: int=0) -> dict:
    """Resume a job again and again without scoring anything, to see what the bookkeeping costs."""
    ...

def read_results(folder) -> tuple:
    """The results in a folder; `values` are an array [views, numbers] per video. Raises `OSError` or `ValueError`."""
    ...

def is_results(folder) -> bool:
    """Whether a folder contains results."""
    ...
