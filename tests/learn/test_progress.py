"""What the line of progress counts: work of this process, of others, and of earlier runs."""

import io
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
