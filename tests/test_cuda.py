"""What only a GPU can show: the same answers as on a CPU, half precision, a batch that does not fit.

Run by `make gpu PART=tests`. With VIDCLS_CUDA_TESTS=cpu they run on a CPU as well, which only shows that they are well formed."""
import os
from dataclasses import replace

import numpy as np, pytest, torch
from transformers import AutoModelForVideoClassification, VideoMAEConfig

from vidcls.backbones import extract_features
from vidcls.clips import ClipSpec, eval_views, read_views
from vidcls.data import sample_videos, video_table
from vidcls.engine.machine import get_device, half_precision
from vidcls.engine.recipes import RECIPES
from vidcls.engine.record import load_record
from vidcls.engine.trainer import batch_arguments, clip_flops, fit_batch, matmul_speed
from vidcls.engine.video import probe_video
from vidcls.infer import load_trained, run_inference
from vidcls.masked import MASKED, pretrain
from vidcls.train import finetune

DEVICE = os.environ.get("VIDCLS_CUDA_TESTS", "cuda")
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no CUDA device")]
only = pytest.mark.skipif(DEVICE != "cuda", reason="means something on a GPU only")
TINY = replace(RECIPES["smoke"], name="cuda", epochs=2, per_class=(3, 1, 1))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    from vidcls.synthetic.stick import make_stickucf
    return make_stickucf(tmp_path_factory.mktemp("films")/"stick", per_class=(3, 1, 1), progress=False)


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory): return finetune(replace(TINY, data=str(films)), tmp_path_factory.mktemp("m")/"model", progress=False, workers=2)


@pytest.fixture(scope="module")
def clips():
    spec, out = ClipSpec(8, 1., 112), []
    for p in sample_videos().path[:4]: out.append(read_views(p, eval_views(probe_video(p), spec, 1, 1), spec))
    return torch.cat(out)


def base(size=224, layers=2):
    torch.manual_seed(0)
    return AutoModelForVideoClassification.from_config(VideoMAEConfig(image_size=size, num_hidden_layers=layers, num_labels=7))


def test_a_model_answers_as_on_a_cpu(trained, clips):
    answers = {}
    for device in ("cpu", DEVICE):
        net, spec = load_trained(trained.model_dir, device=device)
        x = torch.nn.functional.interpolate(clips.flatten(0, 1).float(), size=(spec.size, spec.size)).to(torch.uint8)
        answers[device] = run_inference(net, x.unflatten(0, clips.shape[:2])[:, torch.arange(spec.num_frames) % clips.shape[1]], spec)
    assert (answers["cpu"] - answers[DEVICE]).abs().max() < 1e-3


def test_a_training_runs_on_the_gpu_and_logs_how_fast(trained):
    assert DEVICE == "cpu" or torch.cuda.max_memory_allocated() > 0
    assert load_record(trained.model_dir)["versions"]["torch"] == torch.__version__.split("+")[0]
    log = [h for h in trained.history if "mfu" in h]
    assert log and all(0 < h["mfu"] < 1.1 and 0 <= h["data_wait"] <= 1 and np.isfinite(h["loss"]) for h in log)


@only
def test_half_precision_is_the_default_and_learns_the_same(films, trained, tmp_path):
    full = finetune(replace(TINY, data=str(films), precision="fp32"), tmp_path/"full", progress=False, workers=2)
    losses = [[h["loss"] for h in r.history if "loss" in h] for r in (trained, full)]
    assert half_precision() in ("bf16", "fp16") and losses[0] != losses[1] and np.allclose(*losses, atol=.15)


@only
def test_a_batch_that_does_not_fit_is_divided():
    net, spec = base(layers=12).to(DEVICE), ClipSpec()
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1., 6*2**30/total))
    try:
        n, again = fit_batch(net, spec, 64, "bf16")
        assert n < 64 and 64 % n == 0
        recipe = replace(RECIPES["ucf101"], batch_size=64)
        args = batch_arguments(net, spec, recipe)
        assert args["per_device_train_batch_size"]*args["gradient_accumulation_steps"] == 64
    finally:
        torch.cuda.set_per_process_memory_fraction(1.)
        torch.cuda.empty_cache()
    assert fit_batch(net, spec, 8, "bf16") == (8, False)


def test_operations_are_counted_alike_on_all_devices():
    net, spec = base(), ClipSpec()
    on_cpu = clip_flops(net, spec)
    assert clip_flops(net.to(DEVICE), spec) == on_cpu > 1e9


@only
def test_half_precision_multiplies_faster(): assert matmul_speed("cuda", torch.bfloat16) > 2*matmul_speed("cuda", torch.float32)


def test_features_are_those_of_a_cpu(films, tmp_path):
    table = video_table(films)
    f = [extract_features("videomae-stick", table, device=d, store=tmp_path/d, workers=2, progress=False).array[:] for d in dict.fromkeys(("cpu", DEVICE))]
    assert all(np.allclose(f[0], g, atol=2e-2, rtol=2e-2) and np.isfinite(g).all() for g in f)


def test_masked_pretraining_begins_as_on_a_cpu(films, tmp_path):
    "Masks and crops depend on the seed and the step, not on the device."
    recipe = replace(MASKED, name="masked", data=str(films), checkpoint="videomae-stick", from_scratch=True, epochs=1, batch_size=10, precision="fp32")
    here = pretrain(recipe, tmp_path/"here", progress=False, workers=2).losses
    import vidcls.engine.trainer as T, vidcls.masked as M
    was = T.get_device, M.get_device
    T.get_device = M.get_device = lambda: "cpu"
    try: there = pretrain(recipe, tmp_path/"there", progress=False, workers=2).losses
    finally: T.get_device, M.get_device = was
    assert np.allclose(here, there, rtol=2e-3)


@only
def test_this_is_a_gpu(): assert get_device() == "cuda"
