"""Turn the probabilities of overlapping windows into segments with a start and an end, each as soon as it is certain."""
from typing import Any as _Any
__all__ = ['logger', 'RULE', 'NOTHING', 'FLOOR', 'Rule', 'save_rule', 'actions', 'load_rule', 'evidence', 'SteadyPath', 'Finder']
import json, logging, math
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
import numpy as np
from fastcore.basics import patch
from .machine import atomic_write
logger = logging.getLogger('vidcls.engine.finder')

@dataclass(frozen=True)
class Rule:
    """How windows are turned into segments."""
    nothing: str | None = None
    share: float = 0.5
    cost: float = 6.0

    def __post_init__(self):
        ...
RULE = 'timeline.json'
NOTHING = 'nothing'

def save_rule(rule: Rule, folder, **about) -> Path:
    """Store a rule with a model."""
    ...

def actions(labels, rule: Rule) -> list:
    """The labels that a segment can have. Raises `ValueError` for a rule about a label that the model does not have."""
    ...

def load_rule(folder, labels) -> Rule:
    """The rule of a model. Raises `ValueError` for a damaged file."""
    ...
FLOOR = 0.0001

def evidence(probabilities, labels, rule: Rule) -> np.ndarray:
    """How well each window fits each label, as logarithms."""
    ...

class SteadyPath:
    """The most likely sequence of states, with a price for every change."""
    came: _Any
    cost: float
    delay: int
    total: _Any

    def __init__(self, cost: float, delay: int=240):
        ...

    def push(self, evidence: np.ndarray) -> list:
        """Take the next window."""
        ...

    def _trace(self, state, n):
        """The first `n` undecided states, if the n-th is `state`."""
        ...

    def _certain(self):
        """The states that the best paths to all states share."""
        ...

    def _decide(self):
        """Decide for the first state of the best path; the paths that contradict it are dropped."""
        ...

    def flush(self) -> list:
        """End the sequence."""
        ...

class Finder:
    """Takes the windows of a film or a stream in order, and reports each segment as soon as it is certain."""
    before: _Any
    column: _Any
    held: _Any
    labels: _Any
    last: _Any
    names: _Any
    path: _Any
    rule: Rule
    scores: _Any
    seconds: float
    since: _Any
    state: _Any

    def __init__(self, labels, seconds: float, rule: Rule, delay: int=240):
        ...

    def push(self, start: float, probabilities: np.ndarray) -> list:
        """Take the next window. Raises `ValueError` if it is not later than the last one."""
        ...

    def _take(self, states):
        """Process the windows whose states are certain."""
        ...

    def _close(self, end):
        """The open segment, if any."""
        ...

    def flush(self, end: float=math.inf) -> list:
        """End the film. A film shorter than a window ends before its window does."""
        ...
