"""Let one process decide for all, check that all were started in the same way, and stop with a clear message if another machine is lost."""
from typing import Any as _Any
__all__ = ['logger', 'from_main', 'agree', 'Watch', 'watched']
import logging, os, re, socket, threading, time
from contextlib import contextmanager
from datetime import timedelta
from accelerate.utils import broadcast_object_list, gather_object
from fastcore.basics import patch
from .machine import process_state
logger = logging.getLogger('vidcls.engine.hosts')

def from_main(decide):
    """Let the main process decide for all. Its `ValueError` or `OSError` is raised in every process."""
    ...

def agree(**facts):
    """Raise `ValueError` in every process if one of them was started with other facts than the main process."""
    ...
_GONE = 'Another process of this training has ended or cannot be reached: read its messages, then start all of them again with --resume (resume=True).'

@contextmanager
def _said():
    """Turn an error about a lost connection into an `OSError` of one sentence."""
    ...

class Watch:
    """Heartbeats between the processes of a training. Call `start` at the beginning and `stop` at the end."""
    end: _Any
    limit: float
    over: _Any
    rank: int
    seen: _Any
    store: _Any

    def __init__(self, store, rank: int, others, limit: float, end=os._exit):
        ...

    def start(self):
        """Start two threads: reading the store may itself wait for a lost machine."""
        ...

    def stop(self):
        """Tell the others that this process stops its heartbeat."""
        ...

    def _sign(self):
        ...

    def _judge(self):
        ...

def _watch():
    """Start the heartbeat of this process."""
    ...

@contextmanager
def watched():
    """A training in several processes: if one of them is lost, this one ends with one sentence."""
    ...
