"""Name a member of a tar file by one string that you can use in place of a video's path, and read it without unpacking the tar file."""
from typing import Any as _Any
__all__ = ['member_path', 'split_member', 'without_places', 'MemberFile', 'open_member', 'file_stamp', 'file_size', 'open_bytes']
import os, re, tarfile
from io import RawIOBase
from pathlib import Path
from fastcore.basics import patch
_MEMBER = re.compile('(.+?)::(\\d+)\\+(\\d+)/(.+)', re.S)

def member_path(tar, member: str, offset: int, size: int) -> str:
    """The string that names a member of a tar file, for use as the path of a video."""
    ...

def split_member(path) -> tuple | None:
    """The parts of a member's name."""
    ...

def without_places(text: str) -> str:
    """Leave out the positions in the names of members."""
    ...

class MemberFile(RawIOBase):
    """A member of a tar file, as a file object for reading."""
    at: _Any
    file: _Any

    def __init__(self, path: str):
        ...

    def readable(self):
        """It can be read."""
        ...

    def seekable(self):
        """Any place can be reached."""
        ...

    def tell(self) -> int:
        """The current position."""
        ...

    def close(self):
        """Close the tar file."""
        ...

    def seek(self, offset: int, whence: int=0) -> int:
        """Move to a position."""
        ...

    def read(self, n: int=-1) -> bytes:
        """The next bytes of the member."""
        ...

def _is_there(file):
    """Whether the header before a `MemberFile` belongs to the member."""
    ...

def open_member(path: str) -> MemberFile:
    """Open a member. Raises `OSError` in one sentence if it is not there."""
    ...

def file_stamp(path) -> tuple | None:
    """A video's size and its file's modification time, to notice when it changes."""
    ...

def file_size(path) -> int:
    """A video's size. Raises `FileNotFoundError`."""
    ...

def open_bytes(path):
    """A video's bytes. Raises `OSError`."""
    ...
