"""Hide most of a video and learn to paint it, learn other actions, and measure what that is worth when labels are few."""
from typing import Any as _Any
__all__ = ['MASKING', 'TARGETS', 'MASKED', 'unlabelled', 'tube_masks', 'random_masks', 'patchify', 'unpatchify', 'motion', 'masked_loss', 'MaskedTrainer', 'step_losses', 'PretrainResult', 'masked_trainer', 'pretrain', 'data_hash', 'reconstruct', 'fewer_labels', 'transfer']
import hashlib, json, logging, math, os
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
import numpy as np, torch
from fastcore.basics import patch
from transformers import set_seed
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from .clips import ClipDataset, ClipSpec, normalize
from .data import data_root, parse_name, video_files, video_table
from .engine.audit import known_check, usable_videos
from .engine.cache import frame_cache
from .engine.families import family_of, read_config
from .engine.machine import atomic_write, get_device, home, process_state
from .engine.recipes import Recipe
from .engine.record import checkpoint_path, weight_errors
from .engine.run import recipe_identity, Run, start_hash, table_hash
from .engine.start import positional_start
from .engine.trainer import clip_flops, ClipTrainer, training_arguments
from .model import check_biases, check_encoder, make_processor, weights_folder
from .train import collate_fn, finetune
from .transforms import train_transform
logger = logging.getLogger('vidcls.masked')

def unlabelled(root) -> 'pd.DataFrame':
    """Every video file below a folder. Raises `FileNotFoundError` if there is none."""
    ...

def _hidden(n, tokens, ratio, generator):
    """Random masks over `tokens`: as many hidden in each of the n, at least one of them, and never all."""
    ...

def tube_masks(config, n: int, ratio: float=0.75, generator: torch.Generator=None) -> torch.Tensor:
    """Random tubes: the same places in every frame (Tong et al. 2022, 3.2)."""
    ...

def random_masks(config, n: int, ratio: float=0.6, generator: torch.Generator=None) -> torch.Tensor:
    """Random tubelets, independent of each other in space and time."""
    ...
MASKING = dict(tubes=tube_masks, random=random_masks)

def patchify(frames: torch.Tensor, config) -> torch.Tensor:
    """Cut clips into the model's tubelets."""
    ...

def unpatchify(x: torch.Tensor, config) -> torch.Tensor:
    """Put tubelets together again."""
    ...

def motion(frames: torch.Tensor, config) -> torch.Tensor:
    """How far each tubelet is from the clip's mean picture."""
    ...
TARGETS = ('pixels', 'motion', 'normalised')
_IMAGENET = torch.tensor([IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD])[:, :, None, None]

def _unit(frames):
    ...

def masked_loss(net, frames: torch.Tensor, mask: torch.Tensor, target: str='pixels') -> torch.Tensor:
    """Mean squared error of the hidden tubelets, pixels in 0 to 1; `normalised` is the paper's, `motion` weights pixels by how much moves."""
    ...

class MaskedTrainer(ClipTrainer):
    """Trains `VideoMAEForPreTraining` and writes down the loss of every step."""
    _flops: _Any
    first: _Any
    mask_ratio: float
    masks: _Any
    target: str

    def __init__(self, *args, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', **kwargs):
        ...

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None) -> torch.Tensor:
        """The masked loss, with masks that follow from the seed and the step alone."""
        ...

    def _clip_flops(self):
        ...

    def _write(self, step, loss):
        ...

def step_losses(history: list) -> list:
    """The losses that `MaskedTrainer` wrote down."""
    ...

@dataclass
class PretrainResult:
    """A pre-trained model: where it is and how it got there."""
    model_dir: Path
    metrics: dict
    losses: list = field(repr=False)
    skipped: list = field(default_factory=list)

def masked_trainer(recipe: Recipe, table, folder, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', cache=None, workers: int | None=None, **kwargs) -> MaskedTrainer:
    """Model, data and arguments of a masked pre-training."""
    ...

def pretrain(recipe: Recipe, output_dir=None, mask_ratio: float=0.75, target: str='pixels', masking: str='tubes', resume: bool=False, strict: bool=False, workers: int | None=None, progress: bool=True, cache: str | None=None, overwrite: bool=False, check: str | None=None) -> PretrainResult:
    """Masked pre-training of VideoMAE on any folder of videos. Raises `FloatingPointError` when the loss explodes. Also under `torchrun`."""
    ...

def _learned(trainer, seconds, recipe):
    """What a pre-training writes down."""
    ...

def _config(recipe):
    """The config of a recipe's checkpoint, which must be a VideoMAE."""
    ...

def pretrain_card(record):
    ...

def data_hash(recipe: Recipe) -> dict:
    """Say which data a recipe means, exactly where it is generated."""
    ...

@torch.no_grad()
def reconstruct(net, clips: torch.Tensor, mask: torch.Tensor, spec: ClipSpec) -> torch.Tensor:
    """Clips with the hidden tubelets painted by the model. For the targets `motion` and `pixels`."""
    ...
MASKED = Recipe('masked', data='moves', checkpoint='videomae-stick', from_scratch=True, per_class=(300, 4, 4), scale=(1.0, 1.0), epochs=10, batch_size=8, learning_rate=0.0008, precision='bf16', eval_clips=1)

def fewer_labels(table, share: float) -> 'pd.DataFrame':
    """The first videos of every class; a smaller share is part of a larger one."""
    ...

def transfer(starts: dict, recipe: Recipe, folder, runs=((1.0, 0), (0.3, 0), (0.1, 0)), workers: int | None=None, progress: bool=True) -> 'pd.DataFrame':
    """Fine-tune from several starts on several shares of the labels. Raises `ValueError` where `folder` holds rows of another recipe, of other videos or other weights."""
    ...
