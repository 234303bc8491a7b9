"""Jobs are followed by their logs, whoever runs them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

from asit.launch.watch import Watcher, alive, follow

STEP = "2026-11-26T10:27:27 INFO step {}/400 epoch 0 loss {} global 5.4 | 181.7 clips/s, waiting 2 %, 0:34:55 left\n"
END = "# Accounting: time=3 threads=1\n# Ended (code {}) at Thu Nov 26 10:28:01 UTC 2026, elapsed time 3 seconds\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_warnings_and_ends(tmp_path) -> None:
    out = io.StringIO()
    log = tmp_path / "pretrain.1.log"
    watcher = Watcher(lambda: tmp_path.glob("*.log"), out=out)
    assert watcher.look() == []
    log.write_text("# asit-pretrain ...\n" + STEP.format(100, 5.49) + "2026-11-26T10:27:47 WARNING the teacher is")
    (job,) = watcher.look()
    assert (job.step, job.total) == (100, 400)
    assert out.getvalue() == "pretrain.1: step 100/400, loss 5.49, 181.7 clips/s, 0:34:55 left\n"
    with log.open("a") as stream:  # the rest of the line that was cut
        stream.write(" almost uniform\n" + STEP.format(200, 4.5))
    watcher.look()
    assert "pretrain.1: WARNING the teacher is almost uniform\n" in out.getvalue()
    assert "200/400" not in out.getvalue()  # one line a minute
    with log.open("a") as stream:
        stream.write(END.format(85))
    assert watcher.look() == []
    assert out.getvalue().endswith("step 200/400, loss 4.5, 181.7 clips/s, 0:34:55 left; ended with code 85\n")
    log.write_text(STEP.format(250, 4.1))  # started again: the log is shorter
    assert [job.step for job in watcher.look()] == [250]
    with log.open("a") as stream:
        stream.write(END.format(1))
    assert watcher.look() == []
    log.unlink()  # as a back end does that tries again
    assert watcher.look() == []


def test_the_cluster_s_footer_ends_a_job_too(tmp_path) -> None:
    (tmp_path / "a.1.log").write_text(STEP.format(1, 2) + "# Finished at Thu Nov 26 10:28:01 UTC 2026 with status 1\n")
    assert Watcher(lambda: tmp_path.glob("*.log"), out=io.StringIO()).look() == []


def test_a_log_of_an_earlier_run_is_left_out(tmp_path) -> None:
    old = tmp_path / "old.1.log"
    old.write_text(STEP.format(1, 2))
    os.utime(old, (1, 1))
    assert Watcher(lambda: tmp_path.glob("*.log"), since=time.time() - 60, out=io.StringIO()).look() == []


def test_bars_on_a_terminal(tmp_path) -> None:
    out = Terminal()
    (tmp_path / "finetune.3.log").write_text(STEP.format(100, 5.49))
    watcher = Watcher(lambda: tmp_path.glob("*.log"), out=out)
    watcher.look()
    watcher.close()
    assert "finetune.3 100/400  25%" in out.getvalue()
    assert "0:34:55 left" in out.getvalue()


def test_follows_until_the_process_ends_and_looks_once_more(tmp_path) -> None:
    log = tmp_path / "x.1.log"
    code = f"import time; time.sleep(0.3); open({str(log)!r}, 'w').write({STEP.format(400, 1.5)!r})"
    child = subprocess.Popen([sys.executable, "-c", code])  # not waited for: it stays a zombie
    out = io.StringIO()
    follow(Watcher(lambda: tmp_path.glob("*.log"), out=out), child.pid, every=0.05)
    assert "x.1: step 400/400, loss 1.5" in out.getvalue()
    child.wait()
    assert not alive(child.pid)


def test_a_progress_bar_without_line_breaks_costs_no_memory(tmp_path) -> None:
    log = tmp_path / "y.1.log"
    log.write_bytes(b"50%\r" * 200_000)
    watcher = Watcher(lambda: tmp_path.glob("*.log"), out=io.StringIO())
    (job,) = watcher.look()
    assert len(job._rest) <= 2**16
    with log.open("a") as stream:
        stream.write("\n" + STEP.format(7, 1))
    assert watcher.look()[0].step == 7
