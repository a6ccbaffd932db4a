"""Furniture and large objects that look like small ones in part: edges, legs, handles, cushions, leaves.

Each piece stands on z = 0, its back towards +y. Nothing stands on it.
"""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.furniture import Piece, wood
from dspdet3d_ros.learning.generation.meshes import (
    Mesh,
    arc,
    block,
    box,
    cylinder,
    ellipsoid,
    join,
    prism,
    revolve,
    rounded_outline,
    tube,
)
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator


def piece_of(mesh: Mesh, at_wall: bool = False) -> Piece:
    """The mesh as a piece that bears nothing."""
    low, high = mesh.bounds()
    reach = 2 * np.maximum(np.abs(low), np.abs(high))
    return Piece(mesh, (), (float(reach[0]), float(reach[1])), at_wall)


def cushion(rng: Generator) -> Mesh:
    """A cushion or a folded blanket."""
    side, thick = rng.uniform(0.25, 0.5), rng.uniform(0.06, 0.16)
    if rng.random() < 0.3:
        return prism(rounded_outline(side, side * 0.7, 0.04), thick).painted(paint(rng))
    soft = ellipsoid((side / 2, side / 2 * rng.uniform(0.7, 1.0), thick / 2), (0, 0, thick / 2), 16)
    return soft.painted(paint(rng))


def armchair(rng: Generator) -> Piece:
    """An armchair or sofa with round arms and cushions on it."""
    width, depth, seat = rng.uniform(0.7, 2.2), rng.uniform(0.7, 0.95), rng.uniform(0.35, 0.46)
    arm, back, color = rng.uniform(0.09, 0.16), rng.uniform(0.7, 1.0), paint(rng) * 0.8
    parts = [block((width, depth, seat)), block((width, 0.16, back - 0.08), y=depth / 2 - 0.08)]
    roll = cylinder(0.09, width, 14).rotated(rotate("y", np.pi / 2)).moved((-width / 2, depth / 2 - 0.08, back - 0.08))
    parts.append(roll)
    for side in (-1, 1):
        x, top = side * (width - arm) / 2, seat + rng.uniform(0.1, 0.2)
        parts.append(block((arm, depth, top), x))
        parts.append(cylinder(arm * 0.6, depth, 12).rotated(rotate("x", np.pi / 2)).moved((x, depth / 2, top)))
    mesh = join(*parts).painted(color)
    loose = []
    for _ in range(int(rng.integers(0, 4))):
        tilt, x = rng.uniform(0.0, 1.4), rng.uniform(-0.4, 0.4) * width
        soft = cushion(rng).rotated(rotate("x", tilt)).grounded()
        loose.append(soft.moved((x, depth / 2 - 0.3 - rng.uniform(0, 0.2), seat - 0.01)))
    return piece_of(join(mesh, *loose), rng.random() < 0.6)


def barred_chair(rng: Generator) -> Piece:
    """A chair with a back of bars or slats, some with arms."""
    height, side, color = rng.uniform(0.42, 0.48), rng.uniform(0.38, 0.5), wood(rng)
    back, leg = height + rng.uniform(0.35, 0.6), rng.uniform(0.022, 0.04)
    half = side / 2 - leg / 2
    parts = [prism(rounded_outline(side, side, 0.04), rng.uniform(0.02, 0.07)).moved((0, 0, height - 0.02))]
    parts += [block((leg, leg, height), sx * half, -half) for sx in (-1, 1)]
    parts += [block((leg, leg, back), sx * half, half) for sx in (-1, 1)]
    if rng.random() < 0.5:
        parts += [block((side, leg * 0.6, 0.05), y=half, z=z) for z in np.linspace(height + 0.12, back - 0.05, 3)]
    else:
        for x in np.linspace(-half, half, int(rng.integers(4, 8))):
            parts.append(block((0.018, 0.018, back - height), x, half, height))
        parts.append(block((side, leg, 0.06), y=half, z=back - 0.06))
    if rng.random() < 0.4:
        parts += [block((leg, side, leg), sx * half, z=height + 0.2) for sx in (-1, 1)]
        parts += [block((leg, leg, 0.2), sx * half, -half, height) for sx in (-1, 1)]
    return piece_of(join(*parts).painted(color))


def office_chair(rng: Generator) -> Piece:
    """A swivel chair on a star foot."""
    seat, color = rng.uniform(0.42, 0.55), paint(rng) * 0.5
    parts = [cylinder(0.03, seat, 12)]
    for k in range(5):
        foot = tube(np.array([[0, 0, 0.09], [0.15, 0, 0.07], [0.3, 0, 0.06]]), 0.02)
        wheel = ellipsoid((0.03, 0.02, 0.03), (0.3, 0, 0.03), 10)
        parts.append(join(foot, wheel).rotated(rotate("z", k * 2 * np.pi / 5)))
    parts.append(prism(rounded_outline(0.48, 0.46, 0.1), 0.08).moved((0, 0, seat)))
    back = prism(rounded_outline(0.44, rng.uniform(0.4, 0.6), 0.1), 0.06).rotated(rotate("x", np.pi / 2 - 0.15))
    parts.append(back.moved((0, 0.25, seat + 0.4)))
    parts.append(block((0.06, 0.03, 0.4), y=0.26, z=seat))
    if rng.random() < 0.7:
        for side in (-1, 1):
            parts.append(block((0.06, 0.24, 0.03), side * 0.27, z=seat + 0.22))
            parts.append(block((0.03, 0.05, 0.22), side * 0.27, z=seat))
    return piece_of(join(*parts).painted(color))


def radiator(rng: Generator) -> Piece:
    """A radiator with ribs, a valve and pipes."""
    width, height, low = rng.uniform(0.5, 1.6), rng.uniform(0.4, 0.8), rng.uniform(0.08, 0.2)
    pitch = rng.uniform(0.04, 0.09)
    parts = [block((pitch * 0.6, 0.08, height), x, -0.02, low) for x in np.arange(-width / 2, width / 2, pitch)]
    parts += [block((width, 0.05, 0.03), z=z) for z in (low + 0.03, low + height - 0.06)]
    valve = cylinder(0.025, 0.07, 12).rotated(rotate("y", np.pi / 2)).moved((width / 2, -0.01, low + height - 0.05))
    pipe = cylinder(0.01, low + height - 0.05, 8).moved((width / 2 + 0.03, -0.01, 0))
    return piece_of(join(*parts, valve, pipe).painted(rng.uniform(180, 240, 3)), True)


def curtain(rng: Generator) -> Piece:
    """A curtain with folds."""
    width, height = rng.uniform(0.4, 1.6), rng.uniform(1.4, 2.3)
    low, wave = rng.choice([0.02, 0.7]), rng.uniform(0.1, 0.25)
    x = np.arange(-width / 2, width / 2, 0.02)
    depth = rng.uniform(0.02, 0.06) * np.sin(2 * np.pi * x / wave + rng.uniform(-1, 1) * np.sin(9 * x))
    steps = zip(x[:-1], x[1:], depth[:-1], depth[1:], strict=True)
    parts = []
    for x0, x1, y0, y1 in steps:
        strip = block((np.hypot(x1 - x0, y1 - y0), 0.004, height)).rotated(rotate("z", np.arctan2(y1 - y0, x1 - x0)))
        parts.append(strip.moved(((x0 + x1) / 2, (y0 + y1) / 2, low)))
    return piece_of(join(*parts).painted(paint(rng)), True)


def cabinet(rng: Generator) -> Piece:
    """A cabinet or chest with fronts and handles, some of them open a little."""
    width, depth, height = rng.uniform(0.5, 1.8), rng.uniform(0.3, 0.6), rng.uniform(0.6, 2.1)
    color, metal = wood(rng), paint(rng)
    parts = [block((width, depth, height), y=0.02).painted(color)]
    columns, rows = max(1, int(width / rng.uniform(0.35, 0.6))), int(rng.integers(1, 5))
    round_grip = rng.random() < 0.5
    for i in range(columns):
        for k in range(rows):
            wide, high = width / columns, (height - 0.08) / rows
            x, z = (i + 0.5) * wide - width / 2, 0.06 + k * high
            out = rng.uniform(0.03, 0.25) if rng.random() < 0.08 else 0.0
            parts.append(
                block((wide - 0.01, 0.02 + out, high - 0.01), x, -depth / 2 + 0.01 - out / 2, z).painted(color * 1.1)
            )
            at = (x, -depth / 2 - 0.015 - out, z + high * rng.choice([0.5, 0.85]))
            if round_grip:
                parts.append(ellipsoid((0.018, 0.018, 0.018), at, 10).painted(metal))
            else:
                parts.append(box((rng.uniform(0.08, 0.2), 0.025, 0.014), at).painted(metal))
    return piece_of(join(*parts), True)


def floor_lamp(rng: Generator) -> Piece:
    """A floor lamp: foot, pole and shade."""
    height, foot = rng.uniform(1.3, 1.8), rng.uniform(0.11, 0.17)
    shade = revolve([(rng.uniform(0.15, 0.25), height - 0.25), (rng.uniform(0.08, 0.15), height)]).painted(paint(rng))
    return piece_of(join(cylinder(foot, 0.03), cylinder(0.014, height, 10), shade.moved((0, 0, 0))))


def floor_plant(rng: Generator) -> Piece:
    """A large plant in a pot, on the floor."""
    radius, height = rng.uniform(0.1, 0.2), rng.uniform(0.2, 0.4)
    parts = [cylinder(radius, height).painted(paint(rng))]
    green = np.array([rng.uniform(20, 90), rng.uniform(80, 150), rng.uniform(20, 80)])
    for _ in range(int(rng.integers(12, 34))):
        long = rng.uniform(0.15, 0.6)
        leaf = ellipsoid((long / 2, long * rng.uniform(0.06, 0.2), 0.003), (long / 2, 0, 0), 10)
        leaf = leaf.rotated(rotate("y", -rng.uniform(0.1, 1.4))).rotated(rotate("z", rng.uniform(0, 2 * np.pi)))
        parts.append(leaf.moved((0, 0, height + rng.uniform(0, 0.5))).painted(green * rng.uniform(0.6, 1.3)))
    return piece_of(join(*parts))


def shoes(rng: Generator) -> Piece:
    """A pair of shoes or slippers, or a heap of cloth, on the floor."""
    color, parts = paint(rng), []
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(3, 8))):
            radii = rng.uniform([0.08, 0.06, 0.02], [0.2, 0.15, 0.06])
            parts.append(ellipsoid(radii, rng.normal(0, 0.06, 3) * [1, 1, 0.2] + [0, 0, radii[2]], 12))
    else:
        for side in (-1, 1):
            sole = prism(rounded_outline(0.1, 0.28, 0.045), 0.03)
            upper = ellipsoid((0.045, 0.09, 0.05), (0, -0.04, 0.04), 12)
            heel = prism(rounded_outline(0.08, 0.12, 0.03), rng.uniform(0.06, 0.12)).moved((0, 0.07, 0))
            shoe = join(sole, upper, heel).rotated(rotate("z", rng.normal(0, 0.3)))
            parts.append(shoe.moved((side * rng.uniform(0.06, 0.1), rng.normal(0, 0.03), 0)))
    return piece_of(join(*parts).painted(color).grounded())


def window_frame(rng: Generator) -> Piece:
    """A window frame with a sill and handles, on the wall; or a picture or switch at its place."""
    width, height, low = rng.uniform(0.6, 1.6), rng.uniform(0.5, 1.3), rng.uniform(0.7, 1.3)
    bar = rng.uniform(0.04, 0.09)
    xs = (-width / 2, 0.0, width / 2) if rng.random() < 0.6 else (-width / 2, width / 2)
    parts = [block((bar, 0.05, height), x, 0, low) for x in xs]
    parts += [block((width + bar, 0.05, bar), z=z) for z in (low, low + height - bar)]
    parts.append(block((width + 0.1, rng.uniform(0.1, 0.25), 0.03), y=-0.06, z=low - 0.03))
    parts.append(box((0.03, 0.05, 0.12), (0.03, -0.05, low + height / 2)))
    return piece_of(join(*parts).painted(rng.uniform(150, 245, 3)), True)


def coat_stand(rng: Generator) -> Piece:
    """A stand with hooks and a hanging coat or bag."""
    height = rng.uniform(1.5, 1.9)
    parts = [cylinder(0.02, height, 10), cylinder(0.16, 0.03)]
    for angle in rng.uniform(0, 2 * np.pi, 5):
        hook = tube(arc(0.1, 0.08, -np.pi / 2, np.pi / 4, 7) + [0.02, 0, height - 0.1], 0.01)
        parts.append(hook.rotated(rotate("z", angle)))
    cloth = ellipsoid((0.2, 0.12, 0.45), (0.12, 0, height - 0.6), 14).painted(paint(rng))
    return piece_of(join(join(*parts).painted(wood(rng)), cloth))


def lounge(rng: Generator) -> Piece:
    """Seats of a lounge side by side: thick slabs that lean a little, with a back or without, on feet or a plinth."""
    count, side, depth = int(rng.integers(1, 5)), rng.uniform(0.5, 0.8), rng.uniform(0.55, 0.85)
    seat, thick, color = rng.uniform(0.36, 0.5), rng.uniform(0.08, 0.25), paint(rng) * 0.8
    lean, recline, back = rng.uniform(-0.02, 0.14), rng.uniform(0.05, 0.45), rng.uniform(0.3, 0.6)
    gap, backed, rim = rng.uniform(0.0, 0.04), rng.random() < 0.75, rng.uniform(0.01, 0.08)
    parts: list[Mesh] = []
    for number in range(count):
        x = (number - (count - 1) / 2) * side
        cushion_top = prism(rounded_outline(side - gap, depth, rim), thick).rotated(rotate("x", lean))
        parts.append(cushion_top.moved((x, 0, seat - thick)))
        if backed:
            slab = prism(rounded_outline(side - gap, back, rim), thick * rng.uniform(0.5, 1.0))
            upright = slab.rotated(rotate("x", np.pi / 2 - recline)).grounded()
            parts.append(upright.moved((x, depth / 2 - 0.02, seat - thick * rng.uniform(0.0, 0.8))))
    low, width = seat - thick, count * side
    if rng.random() < 0.5:
        parts.append(block((width - 0.1, depth - 0.15, low)))
    else:
        ends = [(sx * (width / 2 - 0.06), sy * (depth / 2 - 0.08)) for sx in (-1, 1) for sy in (-1, 1)]
        parts += [block((0.04, 0.04, low), *end) for end in ends]
    if rng.random() < 0.3:
        x, top = (rng.choice([-1, 1]) * (width / 2 + 0.05), seat + rng.uniform(0.1, 0.25))
        parts.append(block((0.1, depth, top), x))
    return piece_of(join(*parts).painted(color), rng.random() < 0.3)


def ottoman(rng: Generator) -> Piece:
    """A padded stool or bench without a back, square or round."""
    height, thick = rng.uniform(0.34, 0.5), rng.uniform(0.08, 0.3)
    if rng.random() < 0.4:
        radius = rng.uniform(0.2, 0.5)
        parts = [cylinder(radius, thick).moved((0, 0, height - thick)), cylinder(radius * 0.7, height - thick)]
    else:
        width, depth = rng.uniform(0.4, 1.4), rng.uniform(0.35, 0.7)
        soft = prism(rounded_outline(width, depth, rng.uniform(0.01, 0.1)), thick).moved((0, 0, height - thick))
        parts = [soft, block((width - 0.12, depth - 0.12, height - thick))]
    return piece_of(join(*parts).painted(paint(rng) * 0.8))


PIECES = (armchair, armchair, barred_chair, barred_chair, office_chair, radiator, curtain, cabinet, cabinet) + (
    floor_lamp,
    floor_plant,
    shoes,
    window_frame,
    coat_stand,
    lounge,
    lounge,
    lounge,
    ottoman,
)
