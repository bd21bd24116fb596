"""The page of a printer kind: its bed, a configuration and its trial, and who answers for a line."""

import httpx
import pytest
from sqlalchemy.orm import Session

from api.domain.printing import configurations
from api.domain.printing.configurations import ConfigurationStatus, KindConfiguration
from tests.printers.parts import configuration
from tests.world import NOW, World, make_printer, make_site, make_sliced
from tests.world.browsers import Browser

S = ConfigurationStatus
MACRO = "print_start BED=[first_layer_bed_temperature]"


def page_of(world: World) -> str:
    return f"/staff/kinds/{world.printer.kind_id}"


def give(browser: Browser, world: World, content: bytes, **fields: str) -> httpx.Response:
    files = {"file": ("mk3.ini", content)} if content else None
    return browser.post(f"{page_of(world)}/configuration", fields, files=files)


def latest(session: Session, world: World) -> KindConfiguration:
    found = configurations.find_configuration(session, world.printer.kind, *S)
    assert found is not None
    return found


def finish(session: Session, world: World, *tries: dict[str, object]) -> None:
    drawing = {
        "outline": [[0, 0], [220, 0], [220, 220], [0, 220]],
        "purge": [[5, -3, 60, -3]],
        "part": [100, 100, 120, 120],
    }
    configurations.finish_trial(
        session,
        configuration=latest(session, world),
        tries=tries or [{"material": "PLA"}] * 9,
        drawing=drawing,
        now=NOW,
    )


def test_staff_give_a_configuration_see_it_tried_with_a_picture_and_go_back(
    bob: Browser, session: Session, world: World
) -> None:
    assert page_of(world) in bob.get(f"/staff/printers/{world.printer.id}").text
    assert give(bob, world, configuration().encode()).status_code == 303
    page = bob.get(page_of(world)).text
    assert "is being tried" in page
    assert f"{world.printer.name} (" in page
    finish(session, world)
    page = bob.get(page_of(world)).text
    assert "9 test slices succeeded" in page
    assert 'viewBox="-5 -225 230 233"' in page
    assert '<line class="bed-purge" x1="5" y1="3" x2="60" y2="3"/>' in page
    assert '<rect class="bed-part" x="100" y="-120" width="20" height="20"/>' in page
    assert "style=" not in page[page.index("<figure>") : page.index("</figure>")]
    give(bob, world, b"", remove="yes")
    assert world.printer.kind.config_ini == ""


def test_why_test_slices_failed_is_told_once_with_those_that_it_stopped(
    bob: Browser, session: Session, world: World
) -> None:
    give(bob, world, configuration().encode())
    error = {"code": "slicer-refused", "params": {"reason": "Not a variable name: my_own"}}
    finish(session, world, *({"material": "PLA", "quality": quality, **error} for quality in ("draft", "fine")))
    page = bob.get(page_of(world)).text
    assert page.count("Not a variable name: my_own") == 1
    assert "PLA draft, PLA fine" in page
    assert "test slices failed" in page
    assert world.printer.kind.config_ini == ""


def test_a_line_off_the_list_is_answered_for_by_name_and_withdrawn(
    bob: Browser, session: Session, world: World
) -> None:
    give(bob, world, configuration(start_gcode=f"G28\\n{MACRO} ; heat").encode())
    page = bob.get(page_of(world)).text
    assert f"<code>{MACRO}</code>" in page
    assert "start_gcode, line 2" in page
    assert bob.post(f"{page_of(world)}/lines", {"line": MACRO}).status_code == 303
    assert latest(session, world).status == S.TRYING
    page = bob.get(page_of(world)).text
    assert "Lines a person has allowed" in page
    assert bob.user.name in page[page.index("Lines a person has allowed") :]
    [allowed] = configurations.list_allowed_lines(session, world.printer.kind)
    bob.post(f"{page_of(world)}/lines/{allowed.id}/withdraw")
    assert configurations.list_allowed_lines(session, world.printer.kind) == []
    assert latest(session, world).status == S.HELD


def test_an_answer_for_another_line_and_one_under_a_configuration_in_use_are_refused_with_a_reason(
    bob: Browser, session: Session, world: World
) -> None:
    give(bob, world, configuration(start_gcode=MACRO).encode())
    wrong = bob.post(f"{page_of(world)}/lines", {"line": "M500"})
    assert (wrong.status_code, "No pending configuration has this line" in wrong.text) == (422, True)
    bob.post(f"{page_of(world)}/lines", {"line": MACRO})
    finish(session, world)
    [allowed] = configurations.list_allowed_lines(session, world.printer.kind)
    used = bob.post(f"{page_of(world)}/lines/{allowed.id}/withdraw")
    assert (used.status_code, "The configuration in use has this line" in used.text) == (409, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "First choose the .ini file"),
        (b"\xff\xfe\x00", "not a text file"),
        (b"hello", "not a configuration exported by PrusaSlicer"),
        (configuration(post_process="/bin/sh").encode(), "post_process"),
        (configuration(start_gcode="G28\\nM112").encode(), "at line 2: the command M112 is not allowed"),
        (b"[general]\nversion = 4\ndefinition = custom\n", "a file of Cura"),
        (b"# long\n" * 100_000, "larger than 256 kB"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why_and_changes_nothing(
    bob: Browser, session: Session, world: World, content: bytes, said: str
) -> None:
    answer = give(bob, world, content)
    assert (answer.status_code, said in answer.text, world.printer.kind.config_ini) == (422, True, "")
    assert configurations.find_configuration(session, world.printer.kind, *S) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nozzle_diameter": "0.6"}, "a nozzle of 0.6 mm, but this type of printer has 0.4 mm"),
        ({"bed_shape": "0x0,180x0,180x180,0x180"}, "a printer of 180 × 180 × 250 mm"),
    ],
)
def test_a_configuration_that_contradicts_a_kind_in_use_is_refused_beside_the_file(
    bob: Browser, session: Session, world: World, changes: dict[str, str], said: str
) -> None:
    make_sliced(session, world.site, world.alice)
    answer = give(bob, world, configuration(**changes).encode())
    assert answer.status_code == 422
    assert said in answer.text.replace("\N{NO-BREAK SPACE}", " ")
    # A size that was typed wrong once can be mended; another nozzle is another type.
    assert 'name="takes_size"' in answer.text
    again = give(bob, world, configuration(**changes).encode(), takes_size="yes")
    assert again.status_code == (422 if "nozzle_diameter" in changes else 303)


def test_a_kind_is_shown_to_who_staffs_a_place_with_it_and_changed_by_who_staffs_all(
    alice: Browser, bob: Browser, charlie: Browser, session: Session, world: World
) -> None:
    assert [who.get(page_of(world)).status_code for who in (alice, bob, charlie)] == [403, 200, 404]
    make_printer(session, make_site(session), kind=world.printer.kind)
    assert give(bob, world, configuration().encode()).status_code == 403
    assert give(charlie, world, configuration().encode()).status_code == 404
    assert bob.post(f"{page_of(world)}/lines", {"line": "M500"}).status_code == 403
    assert bob.post(f"{page_of(world)}/lines/1/withdraw").status_code == 403
