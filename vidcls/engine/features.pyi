"""Keep the features of a million videos in a few hundred files, continue after an interruption, and never mix features of different kinds."""
from typing import Any as _Any
__all__ = ['FileHashes', 'read_shard', 'StoredArray', 'FeatureStore', 'make_room']
import json, os, shutil, sqlite3, time, uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from filelock import FileLock
from safetensors.numpy import save_file
from .archive import sha256
from .machine import atomic_write, disk_errors
from .members import file_stamp
from .progress import progress_bar

def _content(path):
    ...

class FileHashes:
    """The content hashes of files, remembered in a database until a file's size or modification time changes."""
    file: _Any

    def __init__(self, file):
        ...

    def _known(self, stamps):
        """Hashes of the files that have not changed since they were hashed."""
        ...

    def _keep(self, rows):
        ...

    def __call__(self, paths: list, progress: bool=True) -> list:
        """The content hashes of files, in order. Hashes new and changed files in eight threads."""
        ...
_DTYPES = dict(F16=np.float16, F32=np.float32)

def _header(file):
    """The header of a safetensors file, and where its numbers begin. Raises `ValueError`."""
    ...

def read_shard(file) -> tuple:
    """The features in one file. Raises `ValueError` if it is damaged or was cut short."""
    ...

class StoredArray:
    """The rows of several arrays as one array; indexing copies only the selected rows."""
    arrays: list
    row: _Any
    which: _Any

    def __init__(self, arrays: list, which, row):
        ...

    def __len__(self):
        ...

    def __repr__(self):
        ...

    @property
    def shape(self) -> tuple:
        """The shape, as in NumPy."""
        ...

    @property
    def dtype(self):
        """The type of the stored numbers."""
        ...

    @property
    def nbytes(self) -> int:
        """The size of all rows in bytes."""
        ...

    def __getitem__(self, i):
        ...

    def __array__(self, dtype=None, copy=None):
        ...

def _flat(d, prefix=''):
    """A nested dict as one level."""
    ...

class FeatureStore:
    """Features of many videos in a folder, in files of at most `shard_bytes`; several processes may write to it."""
    _keys: _Any
    _last: _Any
    _lock: _Any
    _row: _Any
    _waiting: _Any
    _which: _Any
    arrays: _Any
    folder: _Any
    identity: _Any
    seconds: float
    shard_bytes: int

    def __init__(self, folder, identity: dict, shard_bytes: int=64 * 2 ** 20, seconds: float=15):
        ...

    def _claim(self):
        """Create the folder, or make sure that it holds features of this kind."""
        ...

    def _files(self):
        ...

    def refresh(self):
        """Read the index again, with what other processes have written. Raises `ValueError` for a damaged file."""
        ...

    def find(self, keys: list) -> np.ndarray:
        """The places of videos in the index."""
        ...

    def rows(self, keys: list) -> StoredArray:
        """The features of videos. Raises `KeyError` if some are missing."""
        ...

    def add(self, key: str, features: np.ndarray):
        """Keep the features of a video, and write what is waiting if it is enough."""
        ...

    def flush(self):
        """Write what is waiting."""
        ...

    def _write(self, features, keys):
        ...

    def _mine(self, number, keys):
        """The rows of a file that the index finds there, and not in another file."""
        ...

    def merge(self):
        """Merge small files into files of `shard_bytes`, one after the other, so that memory holds only one of them."""
        ...

    def _join(self, group):
        ...

def _bytes(folder):
    ...

def make_room(root, keep, need: int, max_bytes: int):
    """Remove the stores that have been unused for longest until there is room. Raises `OSError` if that is not enough."""
    ...
