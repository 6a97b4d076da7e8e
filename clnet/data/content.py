"""Identity of files by their content, remembered so that a large dataset is hashed once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from clnet.atomic import write_json
from clnet.types import RawCase


class ContentHashes:
    """SHA-256 of files, cached in one JSON file under (path, size, modification time)."""

    def __init__(self, cache: Path):
        self.cache = cache
        try:
            self.known: dict[str, str] = json.loads(cache.read_text())
        except (OSError, ValueError):
            self.known = {}  # a cache: without it everything is hashed again
        self.changed = False

    def of_file(self, path: Path) -> str:
        """SHA-256 of the file's bytes."""
        status = path.stat()
        key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        if key not in self.known:
            with path.open("rb") as file:
                self.known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            self.changed = True
        return self.known[key]

    def of_cases(self, cases: Iterable[RawCase]) -> str:
        """One hash over names, annotated labels, images and labels of the cases; where they lie does not matter."""
        digest = hashlib.sha256()
        for case in sorted(cases, key=lambda case: case.case):
            digest.update(f"{case.case}|{sorted(case.annotated)}|{self.of_file(case.image)}|".encode())
            files = [] if case.label is None else sorted(case.label.iterdir()) if case.label.is_dir() else [case.label]
            for file in files:
                digest.update(f"{file.name if len(files) > 1 else ''}|{self.of_file(file)}|".encode())
        if self.changed:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.cache, self.known)
            self.changed = False
        return digest.hexdigest()[:16]
