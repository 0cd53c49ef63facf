"""Run a network that was exported to ONNX like any other model of vidcls, with the same clips, and raise clear errors for clips that it does not take."""
from typing import Any as _Any
__all__ = ['MODEL', 'onnx_runtime', 'OnnxConfig', 'OnnxNet', 'register_onnx']
import logging
from pathlib import Path
import torch
from fastcore.basics import patch
from transformers import AutoConfig, AutoModelForVideoClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
logger = logging.getLogger('vidcls.engine.runtime')
MODEL = 'model.onnx'

def onnx_runtime():
    """onnxruntime, or an `ImportError` that says how to get it."""
    ...

class OnnxConfig(PreTrainedConfig):
    """The configuration of an exported network: what it was made from, which clips it takes, which labels it knows."""
    grid: _Any
    made_from: str
    mean: _Any
    std: _Any
    model_type = 'vidcls-onnx'

    def __init__(self, made_from: str='', mean: tuple=(0.0,) * 3, std: tuple=(1.0,) * 3, grid: tuple=(1, 1, 1), **kwargs):
        ...

class OnnxNet(PreTrainedModel):
    """An exported network, which onnxruntime runs on the CPU; answers like a model of transformers, without training."""
    _session: _Any
    _threads: _Any
    file: _Any
    normalises: _Any
    config_class = OnnxConfig
    main_input_name = 'pixel_values'

    def __init__(self, config: OnnxConfig, file):
        ...

    @property
    def device(self):
        """The device on which it takes its clips."""
        ...

    @property
    def dtype(self):
        """The type of its logits."""
        ...

    def to(self, device=None, *_, **__):
        """Stay on the CPU, and say so if another device was asked for."""
        ...

    def session(self):
        """The graph, ready to run with as many threads as PyTorch uses. Raises `ValueError` for a damaged file."""
        ...

    def __getstate__(self):
        ...

    def forward(self, pixel_values=None, pixel_values_videos=None, **_) -> ImageClassifierOutput:
        """Classify clips. Raises `ValueError` for clips that the graph does not take."""
        ...

    @classmethod
    def from_pretrained(cls, folder, *args, output_loading_info: bool=False, **_) -> OnnxNet:
        """Load an exported network. Raises `ValueError` or `ImportError` of one sentence."""
        ...

def register_onnx():
    """Make sure that transformers knows the model type of exported networks."""
    ...
