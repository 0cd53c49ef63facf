"""Learn video classification by stepping through it, and use what you stepped through.

The names below are those a user may rely on; each is also in its module. They are imported when they are first asked
for, so `import vidcls` alone is quick.
"""
__version__ = "0.2.0"

import sys as _sys
import warnings as _warnings
from importlib import import_module as _import_module

_EXPORTS = {  # Module → the names that it offers here
    "engine.recipes": "Recipe get_recipe",
    "engine.machine": "doctor",
    "engine.archive": "download_ucf101_subset extract_archive",
    "data": "video_table label_maps split_by_group sample_videos",
    "engine.audit": "check_videos audit_leakage",
    "engine.prepare": "prepare_videos",
    "synthetic.stick": "make_stickucf",
    "engine.video": "VideoError probe_video",
    "clips": "ClipSpec View read_clip read_views ClipDataset",
    "transforms": "train_transform eval_transform",
    "gif": "create_gif display_gif unnormalize_img clip_grid film_strip",
    "model": "load_model",
    "train": "collate_fn compute_metrics finetune",
    "masked": "pretrain",
    "backbones": "extract_features fit_probe probe_videos",
    "infer": "run_inference predict",
    "engine.batch": "predict_files",
    "engine.pipeline": "VidclsPipeline",
    "when": "timeline",
    "scoring": "evaluate_videos",
    "see": "explain",
    "engine.report": "report",
    "share": "push_model",
    "engine.export": "export_onnx",
    "engine.hub": "push_dataset push_space",
    "engine.app": "make_app",
}
_HOME = {name: f"vidcls.{module}" for module, names in _EXPORTS.items() for name in names.split()}
__all__ = ["__version__", *_HOME]  # noqa: PLE0604


def __getattr__(name):
    if name not in _HOME: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(_import_module(_HOME[name]), name)
    return value


def __dir__(): return sorted({*globals(), *__all__})


if "ipykernel" in _sys.modules:
    from .engine.machine import show_messages as _show_messages
    _show_messages("stdout")
    with _warnings.catch_warnings():  # In a notebook without widgets tqdm says so when it is first imported; plain bars will do
        _warnings.simplefilter("ignore")
        import tqdm.auto as _tqdm  # noqa: F401
