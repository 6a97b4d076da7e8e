"""claims.yaml, README.md and docs/results.md say the same, and every claim has a command that makes its run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from analysis.claim_list import read_claims
from experiments import overrides, runfolder

REPOSITORY = Path(__file__).resolve().parents[1]
LISTED = read_claims(REPOSITORY / "claims.yaml")  # refuses ids that come twice
MEASURED = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d{1,3}(?:,\d{3})+(?!\d)")  # 0.826; 1,895
SECTIONS = ("One command, one number", "Results")


def plain(text: str) -> str:
    """Without line breaks and indentation."""
    return " ".join(text.split())


README, RESULTS = ((REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
MEASURED_IN = {title: README.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in SECTIONS} | {"docs/results.md": RESULTS}


@pytest.mark.parametrize("text", sorted({claim.text for claim in LISTED.claims} | set(LISTED.unchecked)))
def test_what_is_claimed_stands_in_the_text(text):
    assert plain(text) in plain(README) + plain(RESULTS)


@pytest.mark.parametrize("claim", LISTED.claims, ids=lambda claim: claim.id)
def test_the_number_stands_in_its_text(claim):
    spelled = claim.written or f"{claim.expected:,}"
    assert re.search(rf"(?<![\d.]){re.escape(spelled)}0?(?![\d]|\.\d)", claim.text), spelled


@pytest.mark.parametrize("name", LISTED.commands)
def test_the_command_is_right_and_makes_the_folder_of_that_name(name, tmp_path):
    from hydra import compose, initialize_config_dir

    program, script, *typed = shlex.split(LISTED.commands[name].replace("FOLDER", str(tmp_path)))
    assert (program, script) == ("python", "run.py")
    overrides.check(typed, REPOSITORY / "conf")
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        assert runfolder.name_of(compose("config", typed)["name"], typed) == name
    assert any(name in (*claim.runs, *claim.minus) for claim in LISTED.claims), "no claim is about this run"


@pytest.mark.parametrize("where", MEASURED_IN)
def test_every_measured_number_is_listed(where):
    section = plain(MEASURED_IN[where])
    for claimed in sorted({*(claim.text for claim in LISTED.claims), *LISTED.unchecked}, key=len, reverse=True):
        section = section.replace(plain(claimed), " ")
    assert not MEASURED.findall(section)
