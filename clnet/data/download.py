"""One file over http(s) or file://, whole and as expected, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request

from clnet.errors import DataError, HostError, UsageError

_SCHEMES = ("https://", "http://", "file://")
_GONE = (401, 403, 404, 410)
_LONGEST_WAIT_S = 120.0


def git_blob_sha1(data: bytes) -> str:
    """The hash under which git stores a file: SHA-1 of `blob`, its length and its content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def download(url: str, *, blob_sha1: str, retries: int, backoff_s: float, timeout_s: float) -> bytes:
    """The file's bytes, if their git hash is `blob_sha1`; a broken transfer or a wrong hash is tried `retries` times more.

    Raises DataError for a file that is not there or stays different from what was published, HostError for a network that stays down.
    """
    if not url.startswith(_SCHEMES):
        raise UsageError("unknown kind of address", where="data.fetch.url", found=url, expected=", ".join(_SCHEMES))
    failure: Exception | None = None
    wait_s = backoff_s
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(min(wait_s, _LONGEST_WAIT_S))
            wait_s = max(2 * wait_s, backoff_s)
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as response:
                data = response.read()
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _GONE:
                    raise _missing(url, f"HTTP {error.code}") from error
                wait_s = max(wait_s, _seconds(error.headers.get("Retry-After")))
                failure = HostError("download failed", where=url, found=f"HTTP {error.code} after {attempt + 1} attempt(s)",
                                    fix="wait a while, then run the same command again: what is there is kept")
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            if url.startswith("file://") and isinstance(reason, FileNotFoundError | IsADirectoryError | PermissionError):
                raise _missing(url, str(reason)) from error
            failure = HostError("download failed", where=url, found=f"{reason!r} after {attempt + 1} attempt(s)",
                                fix="check the network, then run the same command again: what is there is kept")
        else:
            found = git_blob_sha1(data)
            if found == blob_sha1:
                return data
            failure = DataError("downloaded file is not the published one (truncated or changed)", where=url,
                                found=f"{len(data)} bytes with git hash {found}", expected=f"git hash {blob_sha1}",
                                fix="run the same command again; if it stays, something between here and there changes files")
    raise failure


def _missing(url: str, found: str) -> DataError:
    return DataError("file to download is not there", where=url, found=found, fix="check data.fetch.url")


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0
