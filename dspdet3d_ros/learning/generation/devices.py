"""Box-like small objects: cartons, books, devices, bags. Each stands on z = 0 near the z axis."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
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
    tapered,
    tube,
)
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _slab(width: float, depth: float, height: float, radius: float) -> Mesh:
    return prism(rounded_outline(width, depth, radius), height)


def carton(rng: Generator) -> Mesh:
    """A carton or packet; sides log-uniform 3 to 40 cm, two fifths longer than three times their thickness."""
    while True:
        sides = np.sort([_log_uniform(rng, 0.03, 0.4) for _ in range(3)])
        if rng.random() < 0.6:  # cartons of food
            sides = np.array([rng.uniform(0.045, 0.11), rng.uniform(0.11, 0.21), rng.uniform(0.16, 0.3)])
        if sides[2] / sides[0] < 6 and sides.prod() < 0.012:
            break
    body = block(rng.permutation(sides))
    colors = np.repeat([paint(rng) for _ in range(3)], 4, axis=0)
    return Mesh(body.vertices, body.faces, colors.astype(np.float32))


def file_box(rng: Generator) -> Mesh:
    """A file box or magazine holder, open above."""
    width, depth, height = rng.uniform(0.07, 0.12), rng.uniform(0.22, 0.28), rng.uniform(0.22, 0.32)
    front, wall = rng.uniform(0.4, 1.0) * height, 0.004
    parts = [
        block((width, depth, wall)),
        block((width, wall, height), y=depth / 2),
        block((width, wall, front), y=-depth / 2),
    ]
    for side in (-1, 1):
        outline = np.array([[-depth / 2, 0], [depth / 2, 0], [depth / 2, height], [-depth / 2, front]])
        plate = prism(outline, wall).rotated(rotate("x", np.pi / 2)).rotated(rotate("z", np.pi / 2))
        parts.append(plate.moved((side * (width / 2 - wall / 2) - wall / 2, 0, 0)))
    if rng.random() < 0.7:
        fill = rng.uniform(0.5, 0.95)
        parts.append(block((width * fill, depth * 0.9, min(front, height) * 0.95)).painted((225, 222, 215)))
    color = paint(rng)
    return join(*[part.painted(color) for part in parts[:5]], *parts[5:]).grounded()


def book(rng: Generator) -> Mesh:
    """A closed book lying flat: covers a little wider than the leaves."""
    width, depth, height = rng.uniform(0.1, 0.23), rng.uniform(0.15, 0.3), _log_uniform(rng, 0.01, 0.055)
    cover, color = 0.0025, paint(rng)
    leaves = block((width - 0.008, depth - 0.008, height - 2 * cover), z=cover).painted((228, 224, 210))
    lids = [block((width, depth, cover), z=z).painted(color) for z in (0.0, height - cover)]
    back = block((cover, depth, height), x=-width / 2 + cover / 2).painted(color)
    return join(leaves, *lids, back)


def notebook(rng: Generator) -> Mesh:
    """A thin notebook, pad or open book."""
    width, depth = rng.uniform(0.1, 0.21), rng.uniform(0.14, 0.3)
    if rng.random() < 0.35:
        outline = [(0, 0), (width, 0), (width, 0.006), (width * 0.3, 0.016), (0, 0.01)]
        half = prism(np.array(outline), depth).rotated(rotate("x", np.pi / 2)).moved((0, depth / 2, 0))
        return join(half, half.rotated(rotate("z", np.pi))).painted((228, 226, 220)).grounded()
    return block((width, depth, rng.uniform(0.006, 0.015))).painted(paint(rng))


def cutting_board(rng: Generator) -> Mesh:
    """A board with round corners, sometimes a grip."""
    width, depth, height = rng.uniform(0.16, 0.28), rng.uniform(0.24, 0.4), rng.uniform(0.01, 0.025)
    color = np.array([190, 150, 105]) * rng.uniform(0.6, 1.2) if rng.random() < 0.7 else paint(rng)
    board = _slab(width, depth, height, 0.02)
    if rng.random() < 0.4:
        board = join(board, _slab(0.045, 0.1, height, 0.015).moved((0, depth / 2 + 0.04, 0)))
    return board.painted(np.clip(color, 0, 255)).grounded()


def keyboard(rng: Generator) -> Mesh:
    """A keyboard: a thin wedge with rows of keys."""
    width, depth = rng.uniform(0.27, 0.46), rng.uniform(0.11, 0.17)
    back, dark = rng.uniform(0.018, 0.035), paint(rng) * 0.5
    wedge = prism(np.array([[-depth / 2, 0], [depth / 2, 0], [depth / 2, back], [-depth / 2, 0.012]]), width)
    body = wedge.rotated(rotate("x", np.pi / 2)).rotated(rotate("z", np.pi / 2)).grounded().painted(dark)
    slope = np.arctan2(back - 0.012, depth)
    keys = [
        box((width * 0.95, depth * 0.14, 0.007), (0, y, (back + 0.012) / 2))
        for y in np.linspace(-0.36, 0.36, 5) * depth
    ]
    rows = join(*keys).moved((0, 0, -(back + 0.012) / 2)).rotated(rotate("x", slope))
    return join(body, rows.moved((0, 0, (back + 0.012) / 2 + 0.002)).painted(paint(rng)))


def mouse(rng: Generator) -> Mesh:
    """A computer mouse: half an ellipsoid."""
    radii = (rng.uniform(0.028, 0.036), rng.uniform(0.048, 0.062), rng.uniform(0.028, 0.04))
    angles = np.linspace(0, np.pi / 2, 6)
    return revolve([(0, 0)] + [(np.cos(a), np.sin(a)) for a in angles], 18).scaled(radii).painted(paint(rng) * 0.6)


def laptop(rng: Generator) -> Mesh:
    """A laptop, open by 90 to 125 degrees, or closed."""
    width, depth = rng.uniform(0.28, 0.39), rng.uniform(0.19, 0.27)
    color = paint(rng) * 0.7
    base = _slab(width, depth, rng.uniform(0.012, 0.022), 0.01).painted(color)
    top = base.size()[2]
    if rng.random() < 0.25:
        return join(base, _slab(width, depth, 0.008, 0.01).moved((0, 0, top)).painted(color))
    lid = block((width, 0.008, depth)).rotated(rotate("x", -rng.uniform(0.0, 0.6))).moved((0, depth / 2, top * 0.8))
    return join(base, lid.painted(rng.uniform(15, 60, 3)))


def display(rng: Generator) -> Mesh:
    """A monitor on its foot."""
    width = rng.uniform(0.38, 0.64)
    height, lift = width * rng.uniform(0.54, 0.66), rng.uniform(0.07, 0.15)
    dark = rng.uniform(15, 60, 3)
    panel = box((width, 0.03, height)).rotated(rotate("x", rng.uniform(-0.2, 0.02))).moved((0, 0, lift + height / 2))
    stem = block((0.05, 0.03, lift + height / 2), y=0.03)
    foot = _slab(rng.uniform(0.18, 0.28), rng.uniform(0.15, 0.2), 0.014, 0.03)
    return join(panel.painted(dark), stem.painted(dark), foot.painted(paint(rng)))


def phone(rng: Generator) -> Mesh:
    """A mobile phone, or a desk telephone."""
    if rng.random() < 0.75:
        slab = _slab(rng.uniform(0.062, 0.085), rng.uniform(0.13, 0.175), rng.uniform(0.008, 0.013), 0.01)
        return slab.painted(paint(rng) * 0.6)
    width, depth, color = rng.uniform(0.15, 0.2), rng.uniform(0.18, 0.22), paint(rng)
    body = tapered((width, depth), (width * 0.95, depth * 0.8), rng.uniform(0.04, 0.06))
    horn = box((0.045, depth, 0.035), (-width * 0.32, 0, body.size()[2] + 0.015))
    return join(body, horn).painted(color)


def remote_control(rng: Generator) -> Mesh:
    """A remote control."""
    size = rng.uniform(0.038, 0.06), rng.uniform(0.12, 0.23), rng.uniform(0.014, 0.028)
    keys = block((size[0] * 0.7, size[1] * 0.7, 0.002), z=size[2]).painted(paint(rng))
    return join(_slab(*size, 0.012).painted(paint(rng) * 0.5), keys)


def calculator(rng: Generator) -> Mesh:
    """A pocket or desk calculator."""
    width, depth = rng.uniform(0.07, 0.14), rng.uniform(0.11, 0.18)
    wedge = tapered((width, depth), (width, depth), rng.uniform(0.012, 0.03)).painted(paint(rng))
    screen = block((width * 0.8, depth * 0.2, 0.003), y=depth * 0.3, z=wedge.size()[2])
    return join(wedge, screen.painted((120, 130, 115)))


def camera(rng: Generator) -> Mesh:
    """A photo camera with its lens to the front."""
    width, depth, height = rng.uniform(0.1, 0.15), rng.uniform(0.035, 0.07), rng.uniform(0.065, 0.1)
    lens = cylinder(height * rng.uniform(0.3, 0.42), rng.uniform(0.03, 0.09), 18).rotated(rotate("x", np.pi / 2))
    dark = rng.uniform(15, 80, 3)
    hump = tapered((width * 0.4, depth), (width * 0.2, depth * 0.6), 0.018).moved((0, 0, height))
    body = join(block((width, depth, height)), lens.moved((0, -depth / 2, height * 0.48)), hump)
    return body.painted(dark)


def radio(rng: Generator) -> Mesh:
    """A radio or small loudspeaker."""
    width, depth, height = rng.uniform(0.12, 0.32), rng.uniform(0.06, 0.13), rng.uniform(0.09, 0.2)
    parts = [block((width, depth, height)).painted(paint(rng))]
    disc = cylinder(min(width, height) * 0.33, 0.006, 18).rotated(rotate("x", np.pi / 2))
    parts.append(disc.moved((-width * 0.2, -depth / 2, height / 2)).painted((40, 40, 40)))
    if rng.random() < 0.6:
        parts.append(tube(arc(width * 0.4, 0.05, 0, np.pi) + [0, 0, height - 0.005], 0.006).painted((60, 60, 60)))
    return join(*parts)


def clock(rng: Generator) -> Mesh:
    """A table or alarm clock: round on feet, or a box."""
    if rng.random() < 0.6:
        radius, thick = rng.uniform(0.04, 0.09), rng.uniform(0.03, 0.06)
        disc = cylinder(radius, thick).rotated(rotate("x", np.pi / 2)).moved((0, thick / 2, radius + 0.008))
        feet = [block((0.012, thick * 0.8, radius * 0.5), x=side * radius * 0.6) for side in (-1, 1)]
        return join(disc.painted(paint(rng)), *feet)
    return tapered((rng.uniform(0.09, 0.18), 0.07), (rng.uniform(0.08, 0.16), 0.04), rng.uniform(0.05, 0.1)).painted(
        paint(rng)
    )


def toaster(rng: Generator) -> Mesh:
    """A toaster with two slots."""
    width, depth, height = rng.uniform(0.24, 0.33), rng.uniform(0.14, 0.19), rng.uniform(0.16, 0.21)
    outline = rounded_outline(depth, height, 0.035)
    body = (
        prism(outline, width)
        .rotated(rotate("x", np.pi / 2))
        .rotated(rotate("z", np.pi / 2))
        .grounded()
        .painted(paint(rng))
    )
    slots = [
        block((width * 0.75, 0.022, 0.002), y=side * depth * 0.18, z=height).painted((25, 25, 25)) for side in (-1, 1)
    ]
    lever = box((0.03, 0.03, 0.015), (width / 2 + 0.012, 0, height * 0.7)).painted((30, 30, 30))
    return join(body, *slots, lever)


def coffee_machine(rng: Generator) -> Mesh:
    """A coffee machine: foot, back and head."""
    width, depth, height = rng.uniform(0.14, 0.24), rng.uniform(0.2, 0.3), rng.uniform(0.25, 0.36)
    color = paint(rng) * 0.7
    parts = [block((width, depth, 0.05)), block((width, depth * 0.4, height), y=depth * 0.3)]
    parts.append(block((width, depth, height * 0.25), z=height * 0.75))
    pot = cylinder(min(width, depth * 0.6) * 0.38, height * 0.4).moved((0, -depth * 0.18, 0.05)).painted((60, 60, 65))
    return join(*[part.painted(color) for part in parts], pot)


def bag(rng: Generator) -> Mesh:
    """A hand bag, gift bag or filled packet."""
    width, depth, height = rng.uniform(0.14, 0.32), rng.uniform(0.07, 0.15), rng.uniform(0.14, 0.34)
    color = paint(rng)
    body = tapered((width, depth), (width * rng.uniform(0.8, 1.0), depth * rng.uniform(0.1, 0.5)), height)
    if rng.random() < 0.4:
        return body.painted(color)
    grips = [
        tube(arc(width * 0.22, rng.uniform(0.05, 0.11), 0, np.pi), 0.006)
        .moved((0, y, height - 0.004))
        .painted(color * 0.7)
        for y in (-depth * 0.1, depth * 0.1)
    ]
    pocket = ellipsoid((width * 0.35, 0.02, height * 0.25), (0, -depth * 0.42, height * 0.35), 12)
    return join(body.painted(color), pocket.painted(color), *grips)
