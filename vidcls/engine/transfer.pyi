"""Keep the results of many fine-tunings in two files, run only those that are missing, and refuse rows of other weights, videos or recipes."""
from typing import Any as _Any
__all__ = ['KEYS', 'TransferRows']
import hashlib, json, os
from dataclasses import asdict, replace
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from .machine import atomic_write
from .recipes import Recipe
from .run import recipe_identity, start_hash, table_hash

def start_recipe(recipe: Recipe, start) -> Recipe:
    """The recipe of one start."""
    ...

def _changes(recipe, other):
    """In words, what a start changes besides the weights."""
    ...
KEYS = ['start', 'share', 'seed']

def _read(file, text=()):
    """A CSV file with some columns as text; an empty table if there is no file."""
    ...

def _settings(recipe):
    """What a row depends on. A setting that is newer than the tables that ship counts where it is used."""
    ...

class TransferRows:
    """The finished rows of a transfer table, in a folder; one row per start, share of the labels and seed."""
    changes: _Any
    folder: _Any
    recipe: _Any
    rows: _Any
    starts: _Any
    table: _Any
    videos: _Any
    weights: _Any

    def __init__(self, folder, recipe: Recipe, table, starts: dict):
        ...

    def _load(self):
        """Read what is there, and refuse what does not belong to this table."""
        ...

    def _refuse_others(self):
        """Raise `ValueError` where rows are of another recipe, of other videos or of other weights."""
        ...

    def has(self, start: str, share: float, seed: int) -> bool:
        """Whether a row is there."""
        ...

    def add(self, start: str, share: float, seed: int, row: dict, videos):
        """Write a finished row and its videos."""
        ...

    def write_labels(self, part, share: float) -> Path:
        """Write the videos of a share as a CSV file for `finetune`."""
        ...
