"""Table S11: lymph node stations with and without the features of supporting decoders."""

from __future__ import annotations

from analysis.exhibits.commands import REAL
from analysis.exhibits.match import UNPRUNED, UNSUPPORTED
from analysis.exhibits.organwise import OrganTable

_COMMANDS = tuple(f"python run.py experiment={name} {REAL} pruning=text{rest}" for name in ("continual36", "universal36")
                  for rest in (" supporting=none", ""))
_METHODS = tuple(f"CLNet_{kind}36{part}" for kind in "CU" for part in (UNSUPPORTED, ""))
EXHIBITS = (OrganTable("S11", "lymph node stations with and without FL-supporting", _COMMANDS,
                       {method: (f"{method}{UNPRUNED}",) for method in _METHODS}).exhibit,)
