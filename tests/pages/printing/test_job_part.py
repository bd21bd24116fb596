"""What staff see of a part before they let it print; members load no viewer where there is none."""

from pathlib import Path

from sqlalchemy.orm import Session

from api.adapters import files
from api.domain.printing.jobs import JobStatus
from tests.world import NOW, World, make_job, make_model, make_sliced, make_submitted
from tests.world.browsers import Browser


def test_staff_see_the_part_its_size_its_first_layer_and_who_sent_it(
    bob: Browser, alice: Browser, session: Session, world: World, data_dir: Path
) -> None:
    world.site.approves_prints = True
    files.put("gcode/b.gcode", b";LAYER_CHANGE\n;TYPE:Perimeter\nG1 X1 Y1\nG1 X9 Y1 E1\n")
    for status in (JobStatus.REJECTED, JobStatus.COLLECTED, JobStatus.COLLECTED):
        make_submitted(session, world.site, world.alice).status = status
    make_job(session, world.site, world.alice)  # a draft counts for nothing
    make_submitted(session, world.site, world.bob)
    job = make_sliced(session, world.site, world.alice, model=make_model(session, world.alice), scale=2)
    job.slices[0].slice.gcode_key = "gcode/b.gcode"
    session.flush()

    page = bob.get(f"/jobs/{job.id}").text
    assert f'data-stl="/api/v1/jobs/{job.id}/file"' in page
    assert "dist/viewer.js" in page
    assert "40 × 40 × 40" in page  # as it is printed, not as it was drawn
    assert "<dt>Earlier prints</dt><dd>3, 1 of them refused</dd>" in page
    assert "First layer" in page
    assert f'href="/api/v1/jobs/{job.id}/file" download=' in page
    assert 'href="/staff">←' in page

    own = alice.get(f"/jobs/{job.id}").text
    assert "dist/viewer.js" not in own
    assert "data-stl" not in own
    assert "Earlier prints" not in own


def test_the_picture_of_a_first_layer_is_drawn_once(
    bob: Browser, session: Session, world: World, data_dir: Path
) -> None:
    key = files.new_key("gcode", "gcode")
    job = make_sliced(session, world.site, world.alice)
    job.slices[0].slice.gcode_key = key
    session.flush()
    assert "First layer" not in bob.get(f"/jobs/{job.id}").text  # no G-code: nothing of that is kept
    files.put(key, b";LAYER_CHANGE\n;TYPE:Perimeter\nG1 X1 Y1\nG1 X9 Y1 E1\n")
    assert "First layer" in bob.get(f"/jobs/{job.id}").text
    files.delete(key)
    assert "First layer" in bob.get(f"/jobs/{job.id}").text


def test_without_its_file_there_is_no_viewer(bob: Browser, session: Session, world: World, data_dir: Path) -> None:
    job = make_submitted(session, world.site, world.alice)
    job.model.purged_at = NOW
    session.flush()
    page = bob.get(f"/jobs/{job.id}").text
    assert "dist/viewer.js" not in page
    assert "The file of this part is deleted" in page
