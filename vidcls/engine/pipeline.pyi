"""Use transformers' `pipeline`, one video at a time or in batches, and get the same answers as from `predict`."""
from typing import Any as _Any
__all__ = ['hub_folder', 'VidclsPipeline']
from pathlib import Path
import torch
from fastcore.basics import patch
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from safetensors import safe_open
from transformers import VideoClassificationPipeline
from transformers.pipelines.pt_utils import PipelineDataset, PipelineIterator
from ..clips import ClipSpec, normalize
from .families import mend
from .loading import takes_bytes
from .machine import clip_loader
from .probe import register_probe
from .record import saved_clips
from .runtime import register_onnx
from ..infer import model_folder, Prediction, seen_views, top_labels

def join_videos(items: list) -> dict:
    """Put the views of several videos into one batch."""
    ...

def _has_weights(net, folder):
    """Whether the weights in a folder equal those of a model; compares the names that both have."""
    ...

def hub_folder(net) -> Path:
    """The folder of the commit that a model's weights come from. Raises `ValueError` if that is ambiguous."""
    ...
register_probe()
register_onnx()

class VidclsPipeline(VideoClassificationPipeline):
    """transformers' pipeline with the views of `predict`: `pipeline(task, folder, pipeline_class=VidclsPipeline)`."""
    clips: _Any
    spec: _Any

    def __init__(self, *args, spec: ClipSpec | None=None, **kwargs):
        ...

    def _sanitize_parameters(self, top_k=None, num_clips=None, num_crops=None):
        ...

    def preprocess(self, video, num_clips=None, num_crops=1) -> dict:
        """The same views as in evaluation, normalised unless the model does that itself."""
        ...

    def _forward(self, model_inputs):
        """Probabilities of each video, averaged over its views."""
        ...

    def postprocess(self, model_outputs, top_k=5) -> list:
        """The most likely labels."""
        ...

    def get_iterator(self, inputs, num_workers: int, batch_size: int, preprocess_params, forward_params, postprocess_params):
        """Like `Pipeline.get_iterator`, but views are joined and split by video."""
        ...
