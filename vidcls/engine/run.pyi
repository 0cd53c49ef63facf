"""Find out which run a folder belongs to, continue an interrupted run, and write a model completely or not at all."""
from typing import Any as _Any
__all__ = ['table_hash', 'start_hash', 'difference', 'Run', 'recipe_identity']
import hashlib, json, os, shutil, socket, tempfile, time, uuid
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from accelerate.utils import gather_object
from fastcore.basics import patch
from filelock import FileLock, Timeout
from ..clips import ClipSpec
from .archive import sha256
from .audit import short_videos
from .hosts import agree, from_main
from .lora import has_lora, merge_lora, save_adapter
from .machine import atomic_write, disk_errors, no_bar, process_state, tell, versions
from .prepare import prepared_facts
from .recipes import Recipe
from .record import checkpoint_path, load_record, RECORD
from .tables import sources, table_rows
from ..share import model_card, push_model

def table_hash(table) -> str:
    """A hash of the videos in any order: places below a common folder, sizes, labels, splits, groups, times of parts."""
    ...

def _weight_files(file):
    """The names of the files with a checkpoint's weights; `file` is a function that finds a file by name."""
    ...

def start_hash(recipe: Recipe) -> str:
    """A hash of the initial configuration and weights, or with `from_scratch` of the configuration alone."""
    ...
_HASHES = dict(videos_hash='its videos, or their labels, splits or groups, are different', start_hash='it starts from other weights', prepared='its videos are a copy that was made differently')

def difference(was: dict, identity: dict) -> str:
    """The first difference between a stored run and this one, in a few words."""
    ...

class Run:
    """A run and its folder: who owns the folder, where the run stopped, and what its result is."""
    _lock: _Any
    _new: _Any
    anew: bool
    checkpoints: _Any
    folder: _Any
    going_on: _Any
    identity: _Any

    def __init__(self, folder, identity: dict | None=None):
        ...

    @property
    def is_main(self) -> bool:
        """Whether this is the main process of the run."""
        ...

    def load(self) -> dict:
        """The record of the model in the folder: identity, metrics, versions, history."""
        ...

    @property
    def begun(self) -> dict:
        """The identity of the interrupted run in the folder, or the record of the finished one."""
        ...

    @property
    def last_checkpoint(self) -> str | None:
        """The newest complete checkpoint."""
        ...

    def claim(self, resume: bool=False, overwrite: bool=False) -> Run:
        """Take the folder, if it is writable and no work will be lost. Raises `OSError` or `ValueError`."""
        ...

    def _take(self):
        ...

    def _try_folder(self):
        """Raise `OSError` if the folder cannot be created or written to. Leaves no new files or folders behind."""
        ...

    def _refuse_others(self):
        """Raise `ValueError` if the folder contains files of somebody else, or checkpoints that would be lost."""
        ...

    def _hold(self):
        """Lock the folder; returns who holds it now. Raises `ValueError` if another process does."""
        ...

    def release(self):
        """Give the folder back, and remove what only the claim has created."""
        ...

    def __enter__(self):
        ...

    def __exit__(self, *error):
        ...

    def _see(self, owner):
        """Raise `ValueError` in all processes if one of them does not see what the main one has written to the folder."""
        ...

    def resume(self, table) -> tuple:
        """Look for results of this run, and prepare the folder if it has none. Raises `ValueError` if it is another run's."""
        ...

    def _found(self):
        """(record, None) for a finished run, (None, checkpoint) for an interrupted one, or None if there is neither."""
        ...

    def _begin(self):
        """Remove what other runs have left behind, and store this run's identity."""
        ...

    def save(self, net, processor, spec: ClipSpec, record: dict, card: str | None=None):
        """Write the model folder, completely or not at all. Does nothing except in the main process."""
        ...

    def _put(self, new):
        """Replace the folder's files by those in `new`, and put those that mark a complete model in place last."""
        ...

    def finish(self):
        """Remove the checkpoints of a finished run."""
        ...

    def _forget(self):
        ...

    def push(self, repo_id: str):
        """Upload the finished model to the Hub; the other processes wait."""
        ...

    def train(self, trainer, table, bad, results, card=model_card) -> dict:
        """Train, resume, or return the record of a finished run; the main process saves the model."""
        ...
_OWN = {'.lock', '.owner'}
_PATIENCE = 15

def recipe_identity(recipe: Recipe) -> dict:
    """A recipe as a dict, with only the names of local folders, because their contents are hashed."""
    ...
