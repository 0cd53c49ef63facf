"""Know which run a folder belongs to, go on where it stopped, and write a model whole or not at all."""
from typing import Any as _Any
__all__ = ['HASHES', 'table_hash', 'start_hash', 'difference', 'Run', 'recipe_identity']
import hashlib, json, os, shutil, tempfile, time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from fastcore.basics import patch
from ..clips import ClipSpec
from .archive import sha256
from .audit import short_videos
from .machine import disk_errors, no_bar, process_state, versions, atomic_write
from .recipes import Recipe
from .record import checkpoint_path, load_record, RECORD
from .tables import recordings
from ..share import model_card, push_model

def table_hash(table) -> str:
    """A hash of which videos there are, in any order: places below their common folder, sizes, labels, splits, groups."""
    ...

def _weight_files(file):
    """Names of the files that hold a checkpoint's weights; `file` finds one by its name."""
    ...

def start_hash(recipe: Recipe) -> str:
    """A hash of what a training starts from: configuration and weights, or with `from_scratch` the configuration alone."""
    ...
HASHES = dict(videos_hash='its videos, or their labels, splits or groups, are others', start_hash='it starts from other weights')

def difference(was: dict, identity: dict) -> str:
    """In what a stored run differs from this one, in a few words."""
    ...

class Run:
    """A run and its folder: whose the folder is, where the run stopped, and what came out of it."""
    anew: bool
    checkpoints: _Any
    folder: _Any
    going_on: _Any
    identity: _Any

    def __init__(self, folder, identity: dict | None=None):
        ...

    @property
    def is_main(self) -> bool:
        """Whether this is the main process of those that work on the run."""
        ...

    def load(self) -> dict:
        """The record of the model in the folder: identity, metrics, versions, history."""
        ...

    @property
    def last_checkpoint(self) -> str | None:
        """The newest checkpoint that is whole."""
        ...

    def claim(self, resume: bool=False, overwrite: bool=False) -> Run:
        """Make sure that the folder can be written to, and that no work is lost by it. Raises `OSError` or `ValueError`."""
        ...

    def _try_folder(self):
        """Raise `OSError` where the folder cannot be created or written to. What was not there before is gone afterwards."""
        ...

    def _refuse_others(self):
        """Raise `ValueError` where the folder holds something that is not ours, or that would be lost."""
        ...

    def resume(self, table) -> tuple:
        """What the folder has of this run; if nothing, prepare its beginning. Raises `ValueError` for another run's."""
        ...

    def _found(self):
        """(record, None) of a finished run, (None, checkpoint) of an interrupted one; None if there is nothing of this run."""
        ...

    def _begin(self):
        """Remove what is left of other runs, and say whose the checkpoints will be."""
        ...

    def save(self, net, processor, spec: ClipSpec, record: dict, card: str | None=None):
        """Write the model folder whole or not at all; only the main process writes."""
        ...

    def _put(self, new):
        """Replace the folder's files by those in `new`; last those that say that the rest is there."""
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
        """Train, go on with a training or find it done; the main process stores what came out."""
        ...

def recipe_identity(recipe: Recipe) -> dict:
    """A recipe as a dict; of local folders only the name, since what is in them is hashed."""
    ...
