"""Every scale builds and fits together; the paper's trains and predicts within the memory that it is said to need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet.learn.optim import Training
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder

CONF = Path(__file__).parents[2] / "conf"
SCALES = sorted(path.stem for path in (CONF / "scale").glob("*.yaml"))
PEAK_GIB = 8.0  # measured 5.7 for batch 1 and two decoders in 32-bit floats; CL-Net A4 stays below 16 GiB with batch 2 and three decoders


def scale_of(name: str, *typed: str) -> dict:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", [f"scale={name}", *typed]), resolve=True)


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_fits_together(name):
    cfg = scale_of(name)
    scale, lessons = cfg["scale"], [node for kind in ("new", "refine", "update", "start") if (node := cfg["decoder"][kind])]
    stages = [scale_of(name, f"encoder={encoder}")["encoder"]["stages"] for encoder in ("scratch", "simsiam_full")]
    lessons = [instantiate(node, _convert_="all") for node in lessons]
    lessons += [instantiate(each["supervised"], _convert_="all").lesson for each in stages]
    shape, windows, intensity, recipe = (
        instantiate(scale[key], _convert_="all") for key in ("network", "windows", "intensity", "recipe")
    )
    assert len(recipe.spacing_mm) == 3
    with torch.device("meta"):  # shapes without numbers
        encoder, decoder = Encoder(shape, intensity.channels), DecoderNetwork(shape, 3, scale["decoder_width"])
    views = instantiate(stages[1]["without_labels"], _convert_="all").sampling
    assert all(size % stride == 0 for size, stride in zip(views.patch_zyx, shape.total_stride)) and views.batch_size >= 2
    for lesson in lessons:
        patch, training = lesson.sampling.patch_zyx, lesson.training
        assert all(size % stride == 0 for size, stride in zip(patch, shape.total_stride)) and patch == windows.patch_zyx
        assert isinstance(training, Training) and 0 < training.factor(training.steps - 1) < 1
        logits = decoder(encoder(torch.empty(lesson.sampling.batch_size, intensity.channels, *patch, device="meta"))).logits
        assert len(logits) == len(shape.features) - 1 and logits[0].shape[1:] == (3, *patch)
        optimizer, schedule = training.build([torch.nn.Parameter(torch.zeros(2, 1, 3, 3, 3))])
        expected = training.warm_up_lr if training.warm_up_epochs else training.lr
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


PAPER_STEP = """
import json, resource, sys
import numpy as np, torch
from hydra.utils import instantiate
from clnet.data.intensity import Intensity
from clnet.infer.window import Windows, finished_slabs
from clnet.learn.optim import Training
from clnet.learn.target import DecoderTarget, Variants, probabilities
from clnet.learn.training import SegmentationTraining
from clnet.model.bank import SeparateDecoders
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.support import Route
from clnet.types import Decoder, Label

torch.set_num_threads(2)
scale = json.load(sys.stdin)
shape, intensity, windows = (instantiate(scale[key], _convert_="all") for key in ("network", "intensity", "windows"))
patch = windows.patch_zyx
names = ("Liver", "Spleen")
targets = {name: DecoderTarget(Decoder(name, "Abdomen", (name,)), (Label(name, (name,)),)) for name in names}
bank = SeparateDecoders({name: DecoderNetwork(shape, 2, scale["decoder_width"]) for name in names})
encoder = Encoder(shape, intensity.channels)
training = Training(optimizer=instantiate(scale["optimizer"], _convert_="all"), **scale["training"]["encoder"])
variants = {name: Variants({name: target}) for name, target in targets.items()}
module = SegmentationTraining(bank, variants, {name: Route("own") for name in names}, training, encoder=encoder)
module.on_fit_start()
optimizer = training.build(module.parameters())[0]
batch = {"image": torch.randn(1, intensity.channels, *patch)}
for name in names:
    batch |= {f"target/{name}": torch.randint(0, 2, (1, *patch), dtype=torch.uint8), f"valid/{name}": torch.tensor([True])}
before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
loss = module.training_step(batch, 0)
loss.backward()
optimizer.step()
result = {"loss": loss.item(), "unmoved": [name for name, new in module.named_parameters() if torch.equal(before[name], new)]}
del loss, batch, before
optimizer.zero_grad()
module.eval()
with torch.inference_mode():
    result["logits"] = [list(level.shape) for level in bank({"Liver": (encoder(torch.zeros(1, intensity.channels, *patch)), [])})["Liver"]]
networks = {name: lambda encoded, name=name: probabilities(bank.decoders[name](encoded).logits[0], targets[name]) for name in names}
scan = np.random.default_rng(0).integers(-200, 200, patch).astype(np.int16)
slabs = list(finished_slabs(scan, encoder, networks, dict.fromkeys(names, 2), dict.fromkeys(names, True), windows, intensity))
whole = {name: torch.cat([slab[name] for _, slab in slabs], dim=1) for name in names}
result["predicted"] = {name: list(volume.shape) for name, volume in whole.items()}
result["sums"] = max(float((volume.sum(0) - 1).abs().max()) for volume in whole.values())
result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps(result))
"""


@pytest.mark.slow
def test_a_step_and_a_prediction_at_the_papers_scale(capsys):
    """Two minutes on two cores; the memory is that of a process of its own."""
    scale = scale_of("paper")["scale"]
    call = [sys.executable, "-c", PAPER_STEP]
    done = subprocess.run(call, input=json.dumps(scale), capture_output=True, text=True, cwd=CONF.parent, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f"\npaper scale, batch 1, two decoders: peak {result['peak_gib']:.1f} GiB")
    patch = scale["sampling"]["encoder"]["patch_zyx"]
    assert patch == [112, 96, 128] and 0 < result["loss"] < 10
    coarsest = {f"decoders.decoders.{name}.heads.4.{kind}" for name in ("Liver", "Spleen") for kind in ("weight", "bias")}
    assert set(result["unmoved"]) == coarsest  # their share of the loss is zero
    assert result["logits"] == [[1, 2, *patch]]
    assert result["predicted"] == {name: [2, *patch] for name in ("Liver", "Spleen")} and result["sums"] < 1e-4
    assert result["peak_gib"] < PEAK_GIB
