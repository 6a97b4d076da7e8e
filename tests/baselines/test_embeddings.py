"""Texts from another language model: the file that make.py writes, and a CSCLIP that learns with it."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from baselines.csclip import CSCLIP
from baselines.embeddings import FILE, fingerprint, hashed_embedding, make, text_embedding
from clnet.errors import DataError
from tests.baselines.test_csclip import OWN


@pytest.fixture
def file(tmp_path):
    save_file({"Liver": torch.tensor([3.0, 4.0, 0.0]), "Spleen": torch.tensor([0.0, 0.0, 2.0])}, tmp_path / "texts.safetensors")
    return tmp_path / "texts.safetensors"


def test_vectors_of_another_file_and_of_what_it_lacks(file):
    assert text_embedding(["Liver"], file).tolist() == pytest.approx([0.6, 0.8, 0.0])
    assert torch.equal(text_embedding(["PTV70"], file), hashed_embedding("PTV70", 3))
    assert fingerprint(file) != fingerprint(FILE)


SQUARE, UNEQUAL = {"Liver": torch.zeros(2, 2)}, {"Liver": torch.zeros(2), "Spleen": torch.zeros(3)}


@pytest.mark.parametrize("content", [None, "no tensors", {}, SQUARE, UNEQUAL])
def test_a_file_that_is_not_one_of_make(tmp_path, content):
    file = tmp_path / "texts.safetensors"
    if isinstance(content, str):
        file.write_text(content)
    elif content is not None:
        save_file(content, file)
    for ask in (lambda: text_embedding(["Liver"], file), lambda: fingerprint(file)):
        with pytest.raises(DataError, match="embeddings.make") as caught:
            ask()
        assert str(file) in str(caught.value)


def test_a_network_learns_with_the_file_and_predicts_without_it(baseline, tasks, file):
    method = baseline(CSCLIP, **OWN, embedding_file=str(file))
    method.learn(tasks[0])
    texts = method.loaded(method.learned).embeddings
    assert texts.shape == (2, 3) and texts[0].tolist() == pytest.approx([0.6, 0.8, 0.0])
    assert baseline(CSCLIP, **OWN).settings_of_own != method.settings_of_own
    file.unlink()
    elsewhere = baseline(CSCLIP, **OWN)
    assert torch.equal(elsewhere.loaded(method.learned).embeddings, texts)


def test_make_takes_the_text_projection_of_clip(tmp_path):
    """A CLIP of random weights with a vocabulary of letters: as many numbers as its projection has, other ones for other names."""
    transformers = pytest.importorskip("transformers")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    config = transformers.CLIPTextConfig(vocab_size=len(words), hidden_size=16, intermediate_size=16, projection_dim=12,
                                         num_hidden_layers=1, num_attention_heads=2, eos_token_id=len(words) - 1)  # fmt: skip
    transformers.CLIPTextModelWithProjection(config).save_pretrained(tmp_path)
    make.main([str(tmp_path), str(tmp_path / "clip.safetensors")])
    made = load_file(tmp_path / "clip.safetensors")
    names = {row["structure"] for row in csv.DictReader((FILE.parent / "names.csv").read_text().splitlines())}
    assert set(made) == names and {tuple(vector.shape) for vector in made.values()} == {(12,)}
    liver, spleen = (text_embedding([name], tmp_path / "clip.safetensors") for name in ("Liver", "Spleen"))
    assert float(liver @ spleen) < 0.9999 and float(liver.norm()) == pytest.approx(1.0)
