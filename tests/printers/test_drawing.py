"""What a sliced plate draws: purge lines of every kind of move, and the box of the part."""

import math
from pathlib import Path

import pytest

from printers.drawing import draw_plate


def drawn(folder: Path, script: str, layer: str = "") -> dict[str, list[list[float]]]:
    (folder / "part.gcode").write_text(f"{script}\n;LAYER_CHANGE\n{layer}\n;LAYER_CHANGE\nG1 X1 Y1 E9\n")
    return draw_plate(folder / "part.gcode")


@pytest.mark.parametrize(
    ("script", "purge"),
    [
        ("M83\nG1 X5 Y-3\nG1 X60 E9 ; intro", [[5, -3, 60, -3]]),
        (
            "M82\nG1 X5 Y2 E1\nG92 E0\nG1 X9 E2\nG1 Y4 E2\nG1 Y6 E1\nG1 Y8 E3",
            [[0, 0, 5, 2], [5, 2, 9, 2], [9, 6, 9, 8]],
        ),
        ("M83\nG91\nG1 X5\nG1 X5 E1\nG90\nG1 X1 E1", [[5, 0, 10, 0], [10, 0, 1, 0]]),
        ("M83\nG1 E20 F75\nG1 X5 E-1\nG0 X9", []),
    ],
)
def test_only_what_pushes_filament_out_on_its_way_is_drawn(
    tmp_path: Path, script: str, purge: list[list[float]]
) -> None:
    assert drawn(tmp_path, script)["purge"] == purge


@pytest.mark.parametrize(("command", "turns"), [("G3", 9), ("G2", 27)])
def test_an_arc_is_drawn_along_its_circle(tmp_path: Path, command: str, turns: int) -> None:
    purge = drawn(tmp_path, f"M83\nG1 X-98 Y0\n{command} X0 Y-98 I98 E40")["purge"]
    assert (len(purge), purge[0][:2], purge[-1][2:]) == (turns, [-98, 0], [0, -98])
    assert {round(math.hypot(x, y)) for x, y, *_ in purge} == {98}


def test_the_part_is_the_box_of_its_first_layer(tmp_path: Path) -> None:
    layer = "G1 X100 Y100\nG1 X120 Y100 E1\nG1 X120 Y130 E1\nG1 X0 Y0"
    assert drawn(tmp_path, "G28", layer)["part"] == [100, 100, 120, 130]
