"""What the line of progress counts: work of this process, of others, and of earlier runs."""

import copy
import io
import pickle
import time

from clnet.learn.progress import RunProgress


def test_work_of_other_processes_counts_and_that_of_earlier_runs_does_not():
    progress = RunProgress(interval_s=1e9)
    for name, cost in (("mine", 60.0), ("another's", 40.0), ("an earlier run's", 900.0)):
        progress.plan(name, cost)
    progress.skip("an earlier run's", finished_at=time.time() - 3600)
    progress.advance("mine", 30.0)
    assert progress.share == 0.3
    for _ in range(2):  # told twice, counted once
        progress.skip("another's", finished_at=time.time() + 1)
    assert progress.share == 0.7
    progress.finish("mine")
    assert progress.share == 1.0 and progress.seconds_left == 0.0


def test_a_line_tells_the_share_and_the_time_left():
    progress = RunProgress(interval_s=0.0, stream=io.StringIO())
    progress.plan("training", 4.0)
    progress.advance("training", 1.0, "1/4")
    line = progress.stream.getvalue()
    assert "training" in line and "1/4" in line and "run  25 %" in line and "time left 00:0" in line


def test_the_listener_hears_now_and_then_and_copies_have_none():
    heard = []
    progress = RunProgress(interval_s=0.05, stream=io.StringIO(), listener=lambda *told: heard.append(told))
    progress.plan("training", 4.0)
    progress.advance("training", 1.0)
    assert heard == []
    time.sleep(0.06)
    for _ in range(2):
        progress.advance("training", 0.5)
    assert [(share, name) for share, _, name in heard] == [(0.375, "training")] and heard[0][1] > 0
    time.sleep(0.06)
    progress.finish("training")
    assert heard[1][:2] == (1.0, 0.0)
    progress.stream = None
    assert pickle.loads(pickle.dumps(progress)).listener is None and copy.deepcopy(progress).share == 1.0


def test_of_several_processes_that_train_together_the_first_prints(monkeypatch):
    progress = RunProgress(stream=io.StringIO())
    monkeypatch.setenv("LOCAL_RANK", "1")
    progress.say("from the second")
    assert progress.stream.getvalue() == ""
    monkeypatch.setenv("LOCAL_RANK", "0")
    progress.say("from the first")
    assert progress.stream.getvalue().endswith("from the first\n")
