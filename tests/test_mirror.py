import os
import time

import pytest

from core.errors import UserError
from core.mirror import Mirror
from core.urls import above, below, is_url


@pytest.fixture(params=["file", "s3"])
def url(request, tmp_path):
    if request.param == "file":
        return f"file://{tmp_path}/there/run"
    return below(request.getfixturevalue("s3"), tmp_path.name, "run")


@pytest.fixture
def mirror(tmp_path, url):
    (tmp_path / "here").mkdir()
    return Mirror(tmp_path / "here", url)


def put(mirror, name, text):
    path = mirror.local / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_second_machine_sees_what_the_first_pushed(mirror, url, tmp_path):
    put(mirror, "trials.csv", "a\n")
    put(mirror, "winners/gender/seed-0/config.json", "{}")
    assert mirror.push() == 2
    other = Mirror(tmp_path / "other", url)
    assert other.pull() == 2
    assert files(other.local) == files(mirror.local)


def test_only_what_changed_is_copied_again(mirror):
    put(mirror, "a", "1")
    put(mirror, "b", "1")
    assert (mirror.push(), mirror.push()) == (2, 0)
    put(mirror, "b", "22")
    assert mirror.push() == 1
    assert mirror.read("b") == b"22"


def test_what_was_removed_here_is_removed_there_and_what_others_wrote_there_stays(mirror, url, tmp_path):
    put(mirror, "a", "1")
    mirror.push()
    other = Mirror(tmp_path / "other", url)
    put(other, "theirs", "x")
    other.push()
    (mirror.local / "a").unlink()
    mirror.push()
    assert mirror.names() == ["theirs"]


def test_files_arrive_in_the_order_in_which_they_were_written(mirror, monkeypatch):
    for number, name in enumerate(["z", "m", "a"]):  # config.json, written last, says that the rest is there
        put(mirror, name, "x")
        os.utime(mirror.local / name, (1000 + number, 1000 + number))
    order = []
    monkeypatch.setattr(mirror, "_upload", lambda name, _: order.append(name))
    mirror.push()
    assert order == ["z", "m", "a"]


def test_an_upload_that_fails_is_done_again_and_the_files_before_it_are_not(mirror, monkeypatch):
    for number, name in enumerate(["a", "b"]):
        put(mirror, name, "x")
        os.utime(mirror.local / name, (1000 + number, 1000 + number))
    true, tried = mirror._upload, []

    def once(name, size):
        tried.append(name)
        if tried == ["a", "b"]:
            raise OSError("away")
        true(name, size)

    monkeypatch.setattr(mirror, "_upload", once)
    with pytest.raises(OSError, match="away"):
        mirror.push()
    assert mirror.push() == 1
    assert tried == ["a", "b", "b"]


@pytest.mark.parametrize("journal_is_newer", [False, True])
def test_a_file_that_grows_is_never_ahead_of_the_one_it_comes_after(tmp_path, url, monkeypatch, journal_is_newer):
    mirror = Mirror(tmp_path / "here", url, {"journal": "curves"})
    put(mirror, "table1/curves", "epoch\n")
    put(mirror, "table1/journal", "begun\n")
    put(mirror, "winners", "later\n")
    for name, when in (("curves", 1001), ("journal", 1000 + 2 * journal_is_newer)):
        os.utime(mirror.local / "table1" / name, (when, when))
    true, order = mirror._upload, []

    def goes_on_meanwhile(name, size):
        true(name, size)
        order.append(name)
        if name == "table1/curves" and len(order) < 4:  # another trial ends as soon as its epochs have been copied
            put(mirror, "table1/curves", "epoch\nepoch\n")
            put(mirror, "table1/journal", "begun\nended\n")

    monkeypatch.setattr(mirror, "_upload", goes_on_meanwhile)
    mirror.push()
    assert order == ["table1/curves", "table1/journal", "winners"]
    assert mirror.read("table1/curves") == b"epoch\n"
    assert mirror.read("table1/journal") == b"begun\n"
    mirror.push()
    assert mirror.read("table1/curves") == b"epoch\nepoch\n"
    assert mirror.read("table1/journal") == b"begun\nended\n"


def test_a_file_that_grew_here_since_its_beginning_was_copied_is_not_replaced_by_that(tmp_path, url):
    first = Mirror(tmp_path / "here", url, {"journal": "curves"})
    put(first, "journal", "begun\nended\n")
    first.write("journal", b"begun\n")  # later, and shorter
    (tmp_path / "here/journal").touch()
    os.utime(tmp_path / "here/journal", (1000, 1000))
    again = Mirror(tmp_path / "here", url, {"journal": "curves"})
    assert again.pull() == 0
    assert again.push() == 1
    assert again.read("journal") == b"begun\nended\n"


@pytest.mark.parametrize("left", ["", "epoch\n"])
def test_a_copy_that_was_cut_off_does_not_replace_what_is_whole_here(tmp_path, url, left):
    first = Mirror(tmp_path / "here", url)
    put(first, "curves.csv", "epoch\nepoch\n")
    first.push()
    first.write("curves.csv", left.encode())  # later, and shorter
    os.utime(tmp_path / "here/curves.csv", (1000, 1000))
    again = Mirror(tmp_path / "here", url)
    assert again.unlike() == ["curves.csv"]
    assert (again.pull(whole=True), again.push()) == (0, 1)
    assert again.read("curves.csv") == b"epoch\nepoch\n"
    assert again.unlike() == []


def test_in_a_folder_nobody_sees_half_a_file_and_nothing_is_left_of_one(tmp_path):
    mirror = Mirror(tmp_path / "here", f"file://{tmp_path}/there")
    mirror.write("curves.csv", b"whole\n")

    def cut_off():
        with mirror.there.output("curves.csv") as stream:
            stream.write(b"ha")
            stream.flush()
            assert mirror.read("curves.csv") == b"whole\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert files(tmp_path / "there") == {"curves.csv": "whole\n"}


def test_what_says_that_others_are_complete_is_copied_last_though_clocks_cannot_tell(mirror, monkeypatch):
    for name in ("config.json", "curve.csv", "weights", "a/measured.json", "b/scores.csv"):
        put(mirror, name, "x")
        os.utime(mirror.local / name, (1000, 1000))
    order = []
    monkeypatch.setattr(mirror, "_upload", lambda name, _: order.append(name))
    mirror.push()
    assert order == ["b/scores.csv", "curve.csv", "weights", "a/measured.json", "config.json"]


def test_what_cannot_be_listed_is_not_taken_for_removed(mirror, monkeypatch):
    put(mirror, "winners/weights", "x")
    mirror.push()
    (mirror.local / "winners").rename(mirror.local.parent / "winners")
    (mirror.local.parent / "here").rename(mirror.local.parent / "gone")
    with pytest.raises(FileNotFoundError):
        mirror.push()
    assert mirror.read("winners/weights") == b"x"


def test_what_was_removed_here_and_made_anew_by_another_is_fetched(mirror, url, tmp_path):
    put(mirror, "predictions.npz", "old")
    mirror.push()
    (mirror.local / "predictions.npz").unlink()
    mirror.push()
    worker = Mirror(tmp_path / "worker", url)
    put(worker, "predictions.npz", "new")
    worker.push()
    assert mirror.pull() == 1
    assert files(mirror.local) == {"predictions.npz": "new"}


def test_nothing_more_is_copied_once_another_has_the_run(mirror, monkeypatch):
    for name in ("a", "b"):
        put(mirror, name, "x")
    upload = mirror._upload

    def taken_over(name, size):
        upload(name, size)
        mirror.lost = "another process has it"

    monkeypatch.setattr(mirror, "_upload", taken_over)
    mirror.push()
    assert len(mirror.names()) == 1


def test_folders_are_made_also_where_only_fsspec_knows_the_storage(tmp_path):
    mirror = Mirror(tmp_path / "here", f"local://{tmp_path}/there/deep")
    put(mirror, "winners/config.json", "{}")
    mirror.push()
    assert (tmp_path / "there/deep/winners/config.json").read_text() == "{}"


def test_storage_that_tells_no_times_cannot_say_whether_a_process_lives(tmp_path):
    mirror = Mirror(tmp_path / "here", f"memory://{tmp_path.name}/a")
    mirror.write("lease.json", b"{}")
    with pytest.raises(UserError, match=r"does not say when lease\.json was written"):
        mirror.age("lease.json")


def test_a_file_that_is_newer_here_is_not_overwritten_by_an_older_one(mirror, url, tmp_path):
    other = Mirror(tmp_path / "other", url)
    put(other, "curves.csv", "old\n")
    other.push()
    later = time.time() + 60
    put(mirror, "curves.csv", "old\nnew\n")
    os.utime(mirror.local / "curves.csv", (later, later))
    assert mirror.pull() == 0
    assert mirror.push() == 1
    assert mirror.read("curves.csv") == b"old\nnew\n"


def test_a_part_and_only_wanted_files_can_be_pulled(mirror, url, tmp_path):
    for name in ("winners/a/weights", "winners/a/checkpoint.pt", "trials.csv"):
        put(mirror, name, "x")
    mirror.push()
    other = Mirror(tmp_path / "other", url)
    other.pull("winners", lambda name: not name.endswith("checkpoint.pt"))
    assert list(files(other.local)) == ["winners/a/weights"]


def test_locks_and_half_written_files_stay_here(mirror):
    put(mirror, ".lock", "")
    put(mirror, ".trials.csv.7.partial", "")
    put(mirror, ".hidden/file", "")
    assert mirror.push() == 0


def test_age_is_told_by_the_storages_clock(mirror, monkeypatch):
    assert mirror.age("lease.json") == float("inf")
    mirror.write("lease.json", b"{}")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 1000)  # this machine's
    time.sleep(1.1)  # S3 tells whole seconds
    assert 1 <= mirror.age("lease.json") < 100
    assert mirror.names() == ["lease.json"]  # the probe is gone


def test_urls_are_taken_apart_and_put_together_with_their_options():
    url = "s3://bucket/runs?endpoint_override=host:1&scheme=http"
    assert below(url, "a", "b") == "s3://bucket/runs/a/b?endpoint_override=host:1&scheme=http"
    assert above(below(url, "a")) == (url, "a")
    assert is_url(url)
    assert not is_url("runs/a")
    assert below("runs", "a") == "runs/a"


@pytest.mark.parametrize("url", ["https://b.s3.amazonaws.com/runs", "http://b/runs"])
def test_a_web_address_is_refused_with_what_to_write_instead(url):
    with pytest.raises(UserError, match="cannot be written to; a bucket of S3 is s3://BUCKET/FOLDER"):
        Mirror(None, url)


def test_a_url_that_nothing_here_knows_is_one_line():
    with pytest.raises(UserError, match="nosuch://x/y: no file system for such a URL"):
        Mirror(None, "nosuch://x/y")
