"""Add a head to a frozen network, save both as one model, and load them again without running any code that is named in the folder."""
from typing import Any as _Any
__all__ = ['LAYOUTS', 'TokenNet', 'keep_tokens', 'LinearHead', 'AttentiveHead', 'ProbeConfig', 'make_head', 'factory_name', 'use_factory', 'sample_features', 'load_base', 'published', 'ProbeModel', 'saved_backbone', 'register_probe']
import math, tempfile
from contextlib import contextmanager
from pathlib import Path
import torch
from fastcore.basics import patch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, MODEL_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import logging
from .machine import no_bar
from .record import checkpoint_path, weight_errors
LAYOUTS = ('BTCHW', 'BCTHW', 'BCHW')

class TokenNet(nn.Module):
    """Any network as a function from normalised clips [B, T, C, H, W] to tokens [B, N, D]."""
    front: int
    input_key: str | None
    layout: str
    net: nn.Module
    options: _Any
    summary: str

    def __init__(self, net: nn.Module, input_key: str | None=None, layout: str='BTCHW', options: dict | None=None, summary: str='', front: int=0):
        ...

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        """The tokens of some clips. Raises `ValueError` if the network returns something else."""
        ...

    def _output(self, x):
        """What the network returns; for an image model of transformers, what stands for the frame and then its places."""
        ...

def keep_tokens(tokens: torch.Tensor, how: str='all', skip: int=0, steps: int | None=None, places_first: bool=False, summary: bool=False) -> torch.Tensor:
    """The tokens for a head. Raises `ValueError` if they cannot be grouped into time steps."""
    ...

class LinearHead(nn.Module):
    """Mean of the tokens, then one linear layer."""
    out: _Any

    def __init__(self, dim: int, classes: int):
        ...

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits."""
        ...

class QueryAttention(nn.Module):
    """Attention of one learned query to all tokens: a weight for each token and head, and the weighted sum."""
    heads: _Any
    norm: _Any
    query: _Any

    def __init__(self, dim: int, heads: int=16):
        ...

    def weights(self, tokens: torch.Tensor) -> torch.Tensor:
        """How much each token counts."""
        ...

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The query plus the weighted sum of the tokens."""
        ...

def _block(dim, heads):
    ...

class AttentiveHead(nn.Module):
    """V-JEPA 2's attentive probe: a learned query attends to the tokens, then a linear layer."""
    attention: _Any
    blocks: _Any
    mlp: _Any
    out: _Any

    def __init__(self, dim: int, classes: int, depth: int=1, heads: int=16):
        ...

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The logits."""
        ...

def _small_start(m):
    """Initial weights as in V-JEPA 2."""
    ...

class ProbeConfig(PreTrainedConfig):
    """The configuration of a probe: which backbone, which head, which labels."""
    backbone: _Any
    head: _Any
    tokens: _Any
    model_type = 'vidcls-probe'

    def __init__(self, backbone: dict | None=None, head: dict | None=None, tokens: dict | None=None, **kwargs):
        ...
_HEADS = dict(linear=LinearHead, attentive=AttentiveHead)

def make_head(head: dict, classes: int) -> nn.Module:
    """The head that a configuration describes. Raises `ValueError`."""
    ...
_FACTORIES = {}

def factory_name(make) -> str:
    """The name under which a function is stored with a probe."""
    ...

def use_factory(make, name: str | None=None) -> str:
    """Allow probes that name this function as the maker of their backbone. Holds until the process ends."""
    ...

def _made_by_user(name: str) -> nn.Module:
    """Call the function of this name if the user has passed it. Raises `ValueError`, and never imports anything."""
    ...

@torch.inference_mode()
def sample_features(net: TokenNet, shape: tuple) -> list:
    """The features of a fixed clip of noise, which tell one network from another."""
    ...

def _check_sample(net: TokenNet, shape: tuple, was: list, name: str):
    """Raise `ValueError` if a network gives other features than the one that a probe was trained on."""
    ...

@contextmanager
def _quiet():
    """Hide progress bars and warnings about the missing head, which we left out on purpose."""
    ...

def load_base(checkpoint, revision: str | None=None) -> nn.Module:
    """A checkpoint's network without its head. Raises `ValueError` if a weight is missing."""
    ...

def _all_there(missing, name):
    ...

def published(net: PreTrainedModel) -> dict:
    """The weights under the names that `save_pretrained` gives them, which do not change with transformers' version."""
    ...

def _restore_base(config: dict, state: dict, name: str) -> nn.Module:
    """A backbone from its configuration and weights. Raises `ValueError` if a weight is missing."""
    ...

class ProbeModel(PreTrainedModel):
    """A frozen backbone and a head, as a video classifier."""
    backbone: _Any
    head: _Any
    config_class = ProbeConfig
    main_input_name = 'pixel_values'

    def __init__(self, config: ProbeConfig, backbone: TokenNet, head: nn.Module | None=None):
        ...

    def forward(self, pixel_values=None, pixel_values_videos=None, **_) -> ImageClassifierOutput:
        """Classify clips."""
        ...

    def save_pretrained(self, folder, **_):
        """Write `config.json` and `model.safetensors`: the head, and the backbone unless it is on the Hub."""
        ...

    @classmethod
    def from_pretrained(cls, folder, *args, config: PreTrainedConfig | None=None, output_loading_info: bool=False, **_) -> ProbeModel:
        """Load a probe, as `load_probe_net` does."""
        ...

def saved_backbone(backbone: TokenNet, name: str, revision: str | None=None, licence: str | None=None, fingerprint: str='', factory: str | None=None, shape: tuple | None=None) -> dict:
    """The information about the backbone in a probe's folder."""
    ...

def _part(state, prefix):
    ...

def _strict(net, state, name):
    """Load weights. Raises `ValueError` if one is missing, unknown, or of another size."""
    ...

def _backbone(about, state, name):
    """The backbone of a saved probe."""
    ...

def load_probe_net(folder, name) -> ProbeModel:
    """Load a probe and its backbone. Raises `ValueError` of one sentence."""
    ...

def register_probe():
    """Make sure that transformers knows the model type of probes."""
    ...
register_probe()
