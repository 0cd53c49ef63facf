"""Find out which token stands for which place, record the layers' tokens and their gradients, and collect the attention of all layers, without changing the model."""
from typing import Any as _Any
__all__ = ['Inside', 'look_inside', 'removed', 'plain_attention']
import re
from contextlib import contextmanager
from dataclasses import dataclass
import numpy as np, torch
from fastcore.basics import patch
from torch import nn
from .families import Family, family_of, token_grid
from .probe import TokenNet
_UNKNOWN = (4, 8, 8)

@dataclass
class Inside:
    """Where a classifier's tokens are, and which place of the clip each of them stands for."""
    net: nn.Module
    base: nn.Module | None
    family: Family | None
    grid: tuple

    def to_grid(self, values: torch.Tensor) -> torch.Tensor:
        """Put the numbers of tokens at the tokens' places. Raises `ValueError` if there are too few or too many."""
        ...

    def check_open(self):
        """Raise `ValueError` for an exported network, which only returns its answer."""
        ...

    def check_tokens(self):
        """Raise `ValueError` if the model's tokens cannot be told apart by place."""
        ...

    def check_attention(self):
        """Raise `ValueError` if no layer attends from every token to every other one."""
        ...

    def token_gradients(self, clips: dict, classes: torch.Tensor) -> list:
        """The tokens that Grad-CAM weighs, and their gradients. Raises `ValueError` for a model without any."""
        ...

    def rollout(self, clips: dict) -> torch.Tensor:
        """How much of each token has flowed into each other one. Raises `ValueError` where no layer sees all tokens."""
        ...

    def read_rows(self, flow: torch.Tensor) -> torch.Tensor:
        """How much of each token has flowed into what the classifier's head reads."""
        ...

def look_inside(net, frames: int, size: int) -> Inside:
    """What is known of the tokens of a classifier or a probe."""
    ...
_WAY_OUT = "use method='occlusion', which works with every model."

def removed(clip: torch.Tensor, bare: torch.Tensor, gone: np.ndarray) -> torch.Tensor:
    """A clip without some of its tubelets."""
    ...

def _places(base, name):
    """The modules with this name, in order."""
    ...

@contextmanager
def _caught(inside):
    """A list that will hold the tokens that Grad-CAM weighs; the first are the start of derivatives."""
    ...

@contextmanager
def plain_attention(base):
    """Compute attention in the way that yields its weights, and go back at the end."""
    ...
