"""The OpenKBP downloader against a small copy of the repository's layout over file:// and a failing local web server."""

import csv
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import SimpleITK as sitk
from filelock import FileLock
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet.data.download import download, git_blob_sha1
from clnet.data.fetch import OpenKbpFetch
from clnet.data.openkbp import FILES, ORGANS, Plausible
from clnet.errors import DataError, HostError, UsageError

RULES = Plausible(minimum_body_voxels=300, volume_cm3={"SpinalCord": (1, 60)})
GRID = (128, 128, 128)


def known_volume(seed):
    """(image_hu, labels, target), (z, y, x) in LPS: a body with noise, and organs of which no two mirror each other."""
    rng = np.random.default_rng(seed)
    image, labels, target = np.full(GRID, -1000, np.int16), np.zeros(GRID, np.uint8), np.zeros(GRID, np.uint8)
    image[40:70, 50:75, 45:80] = rng.integers(-200, 2000, (30, 25, 35))
    for value in range(1, 8):
        labels[40 + 3 * value:44 + 3 * value, 50 + 2 * value:53 + 2 * value, 45 + 4 * value:49 + 4 * value] = value
    target[42:50, 60:66, 50:70] = 1
    return image, labels, target


def sparse_csv(lps, values=False):
    """Back to (anterior to posterior, right to left, superior to inferior), as index,value."""
    array = lps[::-1].transpose(1, 2, 0).reshape(-1)
    indices = np.flatnonzero(array)
    return "".join([",data\n", *(f"{index},{float(array[index]) if values else ''}\n" for index in indices)])


def write_repository(folder):
    """Three patients in two folders; pt_2 has no larynx, pt_9 an implausible cord. Returns what the first two must become."""
    folder.mkdir()
    rows, known = [], {}
    for seed, (place, patient) in enumerate([("train-pats", "pt_1"), ("train-pats", "pt_2"), ("validation-pats", "pt_9")]):
        image, labels, target = known_volume(seed)
        if patient == "pt_2":
            labels[labels == 6] = 0
        if patient == "pt_9":
            labels[labels == 2] = 0
            labels[41, 51, 46] = 2
        files = {"ct": sparse_csv(image.astype(np.int32) + 1000, values=True), "voxel_dimensions": "4.5\n4.25\n3.0\n",
                 "PTV70": sparse_csv(target)}
        files |= {name: sparse_csv(labels == value) for name, (_, value) in ORGANS.items() if (labels == value).any()}
        (folder / place / patient).mkdir(parents=True)
        for name, text in files.items():
            (folder / place / patient / f"{name}.csv").write_text(text)
        rows.append([place, patient, *(git_blob_sha1(files[name].encode()) if name in files else "" for name in FILES)])
        known[patient] = (image, labels, target)
    with (folder / "inventory.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["folder", "patient", *FILES], *rows])
    return known


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "provided-data"
    return folder, write_repository(folder)


@pytest.fixture
def fetcher(published, tmp_path):
    def make(url=None, **changes):
        options = {"retries": 0, "backoff_s": 0.0, "timeout_s": 5.0, "workers": 2, "say": lambda line: None, **changes}
        return OpenKbpFetch(root=tmp_path / "data", url=url or published[0].as_uri(), inventory=published[0] / "inventory.csv",
                            splits={"train-pats": "train", "validation-pats": "valid"}, plausible=RULES, **options)
    return make


def state(root):
    """Content and time of every file."""
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in root.rglob("*.*") if path.is_file()}


def test_volumes_come_back_exactly_and_a_second_call_does_nothing(fetcher, published, tmp_path):
    lines = []
    fetch = fetcher(say=lines.append)
    assert fetch() == ["pt_1", "pt_2"]
    for patient, arrays in list(published[1].items())[:2]:
        for folder, array in zip(("images", "labels", "targets"), arrays):
            image = sitk.ReadImage(str(tmp_path / "data" / folder / f"{patient}.nii.gz"))
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
            assert image.GetSpacing() == (4.25, 4.5, 3.0) and image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    rows = list(csv.DictReader((tmp_path / "data" / "cases.csv").read_text().splitlines()))
    assert [(row["case"], row["split"], row["ptv70_voxels"]) for row in rows] == [("pt_1", "train", "960"), ("pt_2", "train", "960")]
    assert "Larynx" in rows[0]["annotated_structures"].split() and "Larynx" not in rows[1]["annotated_structures"].split()
    assert (rows[0]["spacing_x_mm"], rows[0]["spacing_y_mm"], rows[0]["spacing_z_mm"]) == ("4.25", "4.5", "3.0")
    assert any("pt_9: left out, SpinalCord has" in line for line in lines)
    before = state(tmp_path / "data")
    assert fetch() == ["pt_1", "pt_2"]
    assert fetcher(url="file:///nowhere")() == ["pt_1", "pt_2"]  # nothing is asked for again, the refused patient neither
    assert state(tmp_path / "data") == before


def test_interrupted_fetch_continues_with_what_is_missing(fetcher, published, tmp_path):
    fetcher(patients=["pt_2"])()
    before = state(tmp_path / "data" / "images")
    assert fetcher()() == ["pt_1", "pt_2"]
    assert before.items() <= state(tmp_path / "data" / "images").items()
    (tmp_path / "data" / "labels" / "pt_1.nii.gz").unlink()
    assert fetcher()() == ["pt_1", "pt_2"]
    assert (tmp_path / "data" / "labels" / "pt_1.nii.gz").exists()


def test_volumes_of_a_run_that_died_before_its_manifest_are_kept(fetcher, tmp_path):
    fetcher(patients=["pt_1"])()
    images = state(tmp_path / "data" / "images")
    for name in ("manifest.json", "cases.csv"):
        (tmp_path / "data" / name).unlink()
    assert fetcher(patients=["pt_1"])() == ["pt_1"]
    assert state(tmp_path / "data" / "images") == images


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_damaged_download_is_refused_by_name_and_finished_patients_stay(fetcher, tmp_path, damage):
    copy = tmp_path / "copy"
    write_repository(copy)
    broken = copy / "train-pats" / "pt_2" / "ct.csv"
    if damage == "truncated":
        broken.write_bytes(broken.read_bytes()[:-4000])
    else:
        broken.unlink()
    with pytest.raises(DataError) as error:
        fetcher(url=copy.as_uri())()
    assert "pt_2/ct.csv" in str(error.value) and error.value.exit_code == 3
    assert (tmp_path / "data" / "images" / "pt_1.nii.gz").exists() and not (tmp_path / "data" / "images" / "pt_2.nii.gz").exists()
    assert not (tmp_path / "data" / "cases.csv").exists()  # no half dataset
    assert not list((tmp_path / "data").rglob("*.tmp*"))
    assert fetcher()() == ["pt_1", "pt_2"]


@pytest.mark.parametrize("name", ["images/pt_1.nii.gz", "cases.csv"])
def test_a_file_that_changed_since_is_named(fetcher, tmp_path, name):
    fetcher()()
    path = tmp_path / "data" / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=name):
        fetcher()()
    path.unlink()
    assert fetcher()() == ["pt_1", "pt_2"]


def test_nothing_is_overwritten(fetcher, tmp_path):
    other = tmp_path / "data" / "images" / "pt_1.nii.gz"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"mine")
    with pytest.raises(DataError, match="not overwritten"):
        fetcher()()
    assert other.read_bytes() == b"mine"


def test_a_folder_with_another_table_of_cases_is_left_alone(fetcher, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cases.csv").write_text("case\n")
    with pytest.raises(UsageError, match="did not write"):
        fetcher()()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["cases.csv"]


def test_two_at_once_and_unknown_patients_are_refused(fetcher, tmp_path):
    (tmp_path / "data").mkdir()
    with FileLock(tmp_path / "data" / ".fetch.lock"), pytest.raises(UsageError, match="another fetch"):
        fetcher()()
    with pytest.raises(UsageError, match="pt_77"):
        fetcher(patients=["pt_77"])()


def test_manifest_holds_the_hashes_of_what_lies_there(fetcher, tmp_path):
    fetcher()()
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    files = {name: sha for entry in manifest["patients"].values() for name, sha in entry.get("files", {}).items()}
    assert len(files) == 6
    for name, sha in files.items():
        assert hashlib.sha256((tmp_path / "data" / name).read_bytes()).hexdigest() == sha


@pytest.fixture
def server():
    """A web server that answers by its list of (status, body, declared length)."""
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body, length = answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}/ct.csv", answers
    web.shutdown()
    web.server_close()
    thread.join()


BODY = b",data\n1,5.0\n"


def get(url, retries):
    return download(url, blob_sha1=git_blob_sha1(BODY), retries=retries, backoff_s=0.0, timeout_s=5.0)


def test_broken_transfers_are_tried_again(server):
    url, answers = server
    answers += [(503, b"", 0), (200, BODY[:4], len(BODY)), (200, b"<html>", 6), (200, BODY, len(BODY))]
    assert get(url, retries=3) == BODY and not answers


@pytest.mark.parametrize(("answer", "kind", "code"), [
    ((503, b"", 0), HostError, 4), ((200, BODY[:4], len(BODY)), HostError, 4), ((200, b"<html>", 6), DataError, 3),
])
def test_a_transfer_that_stays_broken_ends_with_its_cause(server, answer, kind, code):
    url, answers = server
    answers += [answer] * 3
    with pytest.raises(kind) as error:
        get(url, retries=2)
    assert error.value.exit_code == code and url in str(error.value) and not answers


def test_a_missing_file_is_not_asked_for_again(server):
    url, answers = server
    answers += [(404, b"", 0), (200, BODY, len(BODY))]
    with pytest.raises(DataError, match="404"):
        get(url, retries=3)
    assert len(answers) == 1


def test_unknown_scheme():
    with pytest.raises(UsageError, match="ftp"):
        get("ftp://example.org/ct.csv", retries=0)


def test_yaml_builds_the_downloader_of_the_public_repository(repository, tmp_path):
    config = OmegaConf.load(repository / "conf/data/openkbp.yaml")
    node = OmegaConf.create({"data": {"root": str(tmp_path), "fetch": config.fetch}})
    fetch = instantiate(node.data.fetch, _convert_="all")
    assert fetch.url.startswith("https://raw.githubusercontent.com/ababier/open-kbp/ce625e62f3b04203f22bd9d1634f3e8fb0245e46")
    rows = fetch._wanted()
    assert len(rows) == 99 and all(len(row[name]) == 40 for row in rows for name in ("ct", "voxel_dimensions", "PTV70"))
    assert {fetch.splits[row["folder"]] for row in rows} == {"train", "valid"}
