"LoRA for every family: few weights are trained, a run goes on after it was killed, and the merged model is an ordinary one."
import json, sys
from dataclasses import replace

import pytest, torch
from safetensors.torch import load_file
from test_families import NAMES, publish, SPEEDY

from vidcls.engine import trainer as trainer_module
from vidcls.engine.lora import add_lora, has_lora, merge_lora, save_adapter
from vidcls.engine.trainer import ClipTrainer
from vidcls.infer import load_trained, run_inference
from vidcls.model import load_model
from vidcls.train import finetune

pytest.importorskip("peft")
LORA = replace(SPEEDY, lora_rank=4, epochs=3, learning_rate=1e-2)


@NAMES
def test_a_family_is_fine_tuned_by_lora_and_merged(name, tmp_path, data, caplog):
    path = publish(tmp_path/"published", name)
    caplog.set_level("INFO", "vidcls")
    done = finetune(replace(LORA, data=str(data), checkpoint=str(path), epochs=1), tmp_path/"m", workers=0, progress=False)
    assert "LoRA of rank 4 trains" in caplog.text
    net, spec = load_trained(done.model_dir, device="cpu")
    assert not has_lora(net) and {f.name for f in (done.model_dir/"adapter").iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    start = load_model(str(path), net.config.label2id)
    changed = {n for n, p in start.named_parameters() if not torch.equal(p, net.get_parameter(n)) and n.startswith(net.base_model_prefix + ".")}
    assert changed and not any("embed" in n or "norm" in n for n in changed)
    from peft import PeftModel
    torch.manual_seed(0)
    clip = torch.randint(0, 256, (spec.num_frames, 3, spec.size, spec.size), dtype=torch.uint8)
    theirs = PeftModel.from_pretrained(start, done.model_dir/"adapter").eval()
    assert torch.allclose(run_inference(theirs.base_model.model, clip, spec), run_inference(net, clip), atol=1e-4)


def test_it_goes_on_where_it_was_killed_and_its_checkpoints_are_small(tmp_path, data, monkeypatch):
    recipe = replace(LORA, data=str(data), checkpoint=str(publish(tmp_path/"published", "videomae")))
    whole = finetune(recipe, tmp_path/"whole", workers=0, progress=False)
    real, n = trainer_module.ClipTrainer.compute_loss, []
    def dies(self, *args, **kwargs):
        n.append(0)
        if len(n) == 12: raise KeyboardInterrupt # in the second epoch
        return real(self, *args, **kwargs)
    monkeypatch.setattr(ClipTrainer, "compute_loss", dies)
    with pytest.raises(KeyboardInterrupt): finetune(recipe, tmp_path/"cut", workers=0, progress=False)
    monkeypatch.setattr(ClipTrainer, "compute_loss", real)
    kept = max((tmp_path/"cut"/"checkpoints").glob("checkpoint-*"))
    assert all("lora_" in k or k.startswith(("classifier", "fc_norm")) for k in load_file(kept/"model.safetensors"))
    done = finetune(recipe, tmp_path/"cut", resume=True, workers=0, progress=False)
    a, b = (load_file(d.model_dir/"model.safetensors") for d in (whole, done))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert json.loads((done.model_dir/"vidcls.json").read_text())["recipe"]["lora_rank"] == 4


def test_another_rank_is_another_run(tmp_path, data):
    recipe = replace(LORA, data=str(data), checkpoint=str(publish(tmp_path/"published", "videomae")), epochs=1)
    finetune(recipe, tmp_path/"m", workers=0, progress=False)
    with pytest.raises(ValueError, match="another run .*lora_rank was 4, is now 8"):
        finetune(replace(recipe, lora_rank=8), tmp_path/"m", resume=True, workers=0, progress=False)
    before = (tmp_path/"m"/"adapter"/"adapter_model.safetensors").stat().st_mtime_ns
    finetune(replace(recipe, lora_rank=8), tmp_path/"m", overwrite=True, workers=0, progress=False)
    assert (tmp_path/"m"/"adapter"/"adapter_model.safetensors").stat().st_mtime_ns != before


def test_without_peft_it_is_one_sentence_and_nothing_is_written(tmp_path, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    recipe = replace(LORA, data=str(data), checkpoint=str(publish(tmp_path/"published", "videomae")))
    with pytest.raises(ImportError, match=r"^LoRA needs peft: pip install 'vidcls\[lora\]'\.$"):
        finetune(recipe, tmp_path/"m", workers=0, progress=False)
    assert not (tmp_path/"m"/"config.json").exists()


def test_the_corrections_alone_leave_the_model_as_it_was(tmp_path):
    net = load_model(str(publish(tmp_path, "videomae")), {"a": 0, "b": 1}).eval()
    clip = torch.randn(1, 8, 3, 32, 32)
    with torch.no_grad():
        before = net(clip).logits
        assert torch.equal(add_lora(net, 2)(clip).logits, before)
        save_adapter(net, tmp_path/"adapter")
        assert torch.allclose(merge_lora(net)(clip).logits, before, atol=1e-6)
