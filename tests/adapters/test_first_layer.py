"""The picture of a first layer is that of the G-code: of its outlines, not of its infill, and of no later layer."""

import pytest

from api.adapters.first_layer import MOST_POINTS, draw_first_layer

LAYER = b"""G1 X0 Y0 F9000
;LAYER_CHANGE
;TYPE:External perimeter
G1 X10 Y10
G1 X30 Y10 E1 ; a comment with X99
G1 X30 Y20 E1
G1 X10 Y10
;TYPE:Solid infill
G1 X90 Y90 E4
;LAYER_CHANGE
;TYPE:External perimeter
G1 X200 Y200 E9
"""


def test_outlines_of_the_first_layer_are_drawn_from_above_and_nothing_else() -> None:
    # 2 mm around what is 20 mm wide and 10 mm deep; Y turned over.
    assert draw_first_layer([LAYER]) == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24.0 14.0">'
        '<path d="M2.0 12.0L22.0 12.0L22.0 2.0" fill="none" stroke="currentColor" stroke-width="0.4"/></svg>'
    )


def test_chunks_may_end_anywhere() -> None:
    assert draw_first_layer(LAYER[at : at + 7] for at in range(0, len(LAYER), 7)) == draw_first_layer([LAYER])


@pytest.mark.parametrize("gcode", [b"", b"G28\nG1 X10 Y10\n", b";LAYER_CHANGE\n;TYPE:Perimeter\nG1 Xnan Y-. E1\n"])
def test_without_outlines_there_is_no_picture(gcode: bytes) -> None:
    assert draw_first_layer([gcode]) == ""


def test_a_first_layer_without_end_is_cut() -> None:
    moves = b"".join(b"G1 X%d Y%d E1\n" % (n % 7 + 1, n % 5) for n in range(MOST_POINTS * 2))
    picture = draw_first_layer([b";LAYER_CHANGE\n;TYPE:Perimeter\n" + moves])
    assert MOST_POINTS <= picture.count("L") <= MOST_POINTS + 1
