"""Look for recordings, files and pictures that are in two splits, and try to read every file once before you start training."""
from typing import Any as _Any
__all__ = ['crossing_pairs', 'look_alikes', 'Leakage', 'audit_leakage', 'known_check', 'check_videos', 'prepare_table', 'split_alike', 'usable_videos', 'short_videos']
import hashlib, json, logging, math, os, time, warnings
from dataclasses import replace
from pathlib import Path
import numpy as np, torch
from accelerate.utils import gather_object
from fastcore.basics import patch
from ..clips import clip_frames_at, ClipSpec, eval_views, read_views, View
from ..data import split_by_group
from .alike import ALIKE, alike_pairs, alike_table, all_looks
from .archive import sha256
from .each import each_file, process_count
from .hosts import agree, from_main
from .machine import home, process_state
from .members import file_size, file_stamp
from .progress import progress_bar
from .tables import overlaps, recordings, sources, table_rows, TIMES
from .video import frames_between, good_frames, probe_video, promised_times, Segment, VideoError
logger = logging.getLogger('vidcls.engine.audit')

def _shared_groups(table):
    ...

def _same(table, what='sha256'):
    ...

def _identical_files(table):
    ...

def crossing_pairs(pairs) -> 'pd.DataFrame':
    """The pairs of look-alikes that are in different splits or have different labels."""
    ...

def look_alikes(table, threshold: float=ALIKE, workers: int | None=None, progress: bool=False) -> 'pd.DataFrame':
    """Videos across splits or labels that show the same, even if their bytes differ. Skips files that cannot be read."""
    ...

class Leakage:
    """What the splits share. `ok` is true if no group, file, look-alike or moment of a file is in two of them."""
    alike: _Any
    conflicts: _Any
    crossing: _Any
    files: _Any
    groups: _Any
    overlapping: _Any

    def __init__(self, groups, files, alike=None, overlapping=()):
        ...

    @property
    def ok(self) -> bool:
        """Whether the splits share no group, no file, no look-alike and no moment of a file."""
        ...

    def __repr__(self):
        ...

def audit_leakage(table, alike=False, workers: int | None=None, progress: bool=False) -> Leakage:
    """Look for groups, files and pictures that are in more than one split."""
    ...

def _most_repeated(info, times, spec):
    """How many frames are repeated in the worst span that a random view may cover."""
    ...

def _decoded_times(path, info):
    """The times of a video's frames, which are all decoded. Raises `VideoError`."""
    ...

def _check_video(path, spec, how):
    """Check one file, or one part of a file, and return `_most_repeated`. Raises `VideoError`."""
    ...

class _Checks(torch.utils.data.Dataset):
    """For each file, the number of repeated frames, or the reason why the file cannot be used."""
    how: _Any
    paths: _Any
    spec: _Any

    def __init__(self, paths, spec, how):
        ...

    def __len__(self):
        ...

    def __getitem__(self, i):
        ...

class _GoodFiles:
    """A database of the files that are good, by path, size, time and clip; several processes can use it at once."""
    db: _Any
    error: _Any
    file: _Any
    most: _Any
    new: _Any
    saved: _Any
    spec: _Any

    def __init__(self, file, spec, most=1000000):
        ...

    def _forget(self, e):
        ...

    def _key(self, path):
        ...

    def get(self, path, stamp, how):
        """How many frames are repeated; None if this state of the file has not been checked."""
        ...

    def add(self, path, stamp, how, repeated):
        """Remember a good file. Writes every few seconds, so that a check that was killed can continue."""
        ...

    def save(self):
        """Write the new entries, and delete the oldest ones if there are too many."""
        ...

    def close(self):
        ...
_CHECKS = ('full', 'quick', 'none')

def known_check(how: str | None):
    """Raise `ValueError` if there is no check of that name."""
    ...
_MINUTE = 200 * 2 ** 20

def check_depth(paths, workers: int | None=None, verbose: bool=True) -> str:
    """The default check: 'full' if that takes about a minute at most, else 'quick'."""
    ...

def _row_results(table, rows, found):
    """What was found for each row, as an array; the reasons of segments begin with their line."""
    ...

def check_videos(table, spec: ClipSpec, how: str | None=None, workers: int | None=None, progress: bool=True) -> tuple:
    """Read every video once, so that a bad one is reported now and not during training. Remembers good files."""
    ...

def prepare_table(table, spec: ClipSpec, strict: bool=False, seed: int=0, progress: bool=True, how: str | None=None, workers: int | None=None) -> tuple:
    """Check every file, and split the table by group if it has no splits."""
    ...

def split_alike(table, workers: int | None=None, progress: bool=True) -> str:
    """The warning to give if a random split has put videos that look alike on both sides."""
    ...

def _found(share, numbers, good, bad):
    """For each row of a share, by its number in the whole table: the repeated frames, or the reason why it is left out."""
    ...

def _ordered_hash(table):
    ...

def usable_videos(table, spec: ClipSpec, strict: bool=False, progress: bool=True, how: str | None=None, workers: int | None=None) -> tuple:
    """Share `check_videos` among all processes. Raises `VideoError` if none is usable, or with `strict` if one is not."""
    ...

def short_videos(table) -> list:
    """The videos that have fewer frames than a clip, among those that were checked."""
    ...
