"""Thin and tiny objects of the class "part": cutlery, tools, pens, screws, brackets. Each lies on z = 0."""

from __future__ import annotations

from collections.abc import Callable

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
    tube,
)
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator


def part(rng: Generator) -> Mesh:
    """One of the objects of this module."""
    return PART_KINDS[rng.integers(len(PART_KINDS))](rng)


def _metal(rng: Generator) -> np.ndarray:
    return np.full(3, rng.uniform(70, 215)) + rng.uniform(-12, 12, 3)


def _bar(length: float, width: float, height: float, start: float = 0.0) -> Mesh:
    """A flat bar with round ends along x, from x = `start`."""
    return prism(rounded_outline(length, width, width / 2), height).moved((start + length / 2, 0, 0))


def _ring(outer: float, inner: float, height: float) -> Mesh:
    return revolve([(inner, 0), (outer, 0), (outer, height), (inner, height), (inner, 0)], 20)


def _lying(radius: float, length: float, sides: int = 12) -> Mesh:
    """A cylinder along x, from x = 0."""
    return cylinder(radius, length, sides).rotated(rotate("y", np.pi / 2)).moved((0, 0, radius))


def cutlery(rng: Generator) -> Mesh:
    """A spoon, fork or knife."""
    length, height = rng.uniform(0.12, 0.24), rng.uniform(0.002, 0.006)
    handle = length * rng.uniform(0.55, 0.7)
    parts = [_bar(handle, rng.uniform(0.01, 0.022), height)]
    kind = rng.integers(3)
    if kind == 0:
        bowl = np.array([length - handle, rng.uniform(0.025, 0.045), rng.uniform(0.006, 0.012)]) / 2
        parts.append(ellipsoid(bowl, (handle + bowl[0] * 0.9, 0, bowl[2]), 14))
    elif kind == 1:
        width = rng.uniform(0.018, 0.028)
        parts.append(_bar((length - handle) * 0.5, width, height, handle * 0.97))
        for side in (-0.4, -0.13, 0.13, 0.4):
            tine = block(
                ((length - handle) * 0.55, width * 0.14, 0.003), handle + (length - handle) * 0.7, side * width
            )
            parts.append(tine)
    else:
        parts.append(_bar(length - handle, rng.uniform(0.016, 0.026), 0.002, handle * 0.97))
    return join(*parts).painted(_metal(rng) if rng.random() < 0.8 else paint(rng)).grounded()


def scissors(rng: Generator) -> Mesh:
    """Scissors, more or less open."""
    length, opening = rng.uniform(0.11, 0.23), rng.uniform(0.02, 0.5)
    blades, color = [], paint(rng)
    for side in (-1, 1):
        blade = _bar(length * 0.6, length * 0.07, 0.003).painted(_metal(rng))
        loop = _ring(length * 0.13, length * 0.09, rng.uniform(0.006, 0.011)).scaled((1.4, 1, 1)).painted(color)
        shaft = _bar(length * 0.25, length * 0.06, 0.006, -length * 0.24).painted(color)
        half = join(blade, shaft, loop.moved((-length * 0.36, side * length * 0.08, 0)))
        blades.append(half.rotated(rotate("z", side * opening / 2)).moved((0, 0, 0.002 * (side > 0))))
    return join(*blades).grounded()


def pen(rng: Generator) -> Mesh:
    """A pen, pencil or marker."""
    radius, length = rng.uniform(0.0035, 0.011), rng.uniform(0.11, 0.17)
    cap = _lying(radius * 1.12, length * rng.uniform(0.25, 0.4)).painted(paint(rng))
    return join(_lying(radius, length).painted(paint(rng)), cap).grounded()


def screwdriver(rng: Generator) -> Mesh:
    """A screwdriver, a chisel or a brush."""
    grip, shaft = rng.uniform(0.08, 0.12), rng.uniform(0.06, 0.16)
    radius, thin = rng.uniform(0.01, 0.018), rng.uniform(0.0025, 0.005)
    handle = _lying(radius, grip, 8).painted(paint(rng))
    rod = _lying(thin, shaft).moved((grip, 0, radius - thin)).painted(_metal(rng))
    return join(handle, rod).grounded()


def wrench(rng: Generator) -> Mesh:
    """A flat wrench with one or two heads."""
    length, height = rng.uniform(0.1, 0.26), rng.uniform(0.004, 0.012)
    width = length * rng.uniform(0.08, 0.12)
    head = width * rng.uniform(0.8, 1.1)
    parts = [_bar(length, width, height), _ring(head, head * 0.55, height * 1.3).moved((length, 0, 0))]
    if rng.random() < 0.6:
        angle = rng.uniform(0.4, 0.8)
        parts += [_bar(head * 1.6, head * 0.6, height * 1.3).rotated(rotate("z", np.pi + s * angle)) for s in (-1, 1)]
    return join(*parts).painted(_metal(rng)).grounded()


def pliers(rng: Generator) -> Mesh:
    """Pliers, a stapler or clamps: two bent handles and a head."""
    length, thick = rng.uniform(0.13, 0.2), rng.uniform(0.008, 0.014)
    color, parts = paint(rng), [_bar(length * 0.35, length * 0.18, thick * 1.2).painted(_metal(rng))]
    for side in (-1, 1):
        path = np.array(
            [[0.02, 0, 0], [-length * 0.3, side * length * 0.12, 0], [-length * 0.65, side * length * 0.1, 0]]
        )
        parts.append(tube(path, thick * 0.6).moved((0, 0, thick * 0.6)).painted(color))
    return join(*parts).grounded()


def bolt(rng: Generator) -> Mesh:
    """A bolt or screw, lying or on its head."""
    radius, length = rng.uniform(0.003, 0.01), rng.uniform(0.02, 0.08)
    head = radius * rng.uniform(1.6, 2.2)
    sides = 6 if rng.random() < 0.6 else 16
    mesh = join(cylinder(head, radius * rng.uniform(0.8, 1.5), sides), cylinder(radius, length, 12))
    if rng.random() < 0.8:
        mesh = mesh.rotated(rotate("y", np.pi / 2))
    return mesh.painted(_metal(rng)).grounded()


def ring(rng: Generator) -> Mesh:
    """A nut, washer, bearing or roll of tape."""
    outer = float(np.exp(rng.uniform(np.log(0.01), np.log(0.06))))
    mesh = _ring(outer, outer * rng.uniform(0.4, 0.8), outer * rng.uniform(0.25, 0.9))
    return mesh.painted(_metal(rng) if rng.random() < 0.6 else paint(rng)).grounded()


def bracket(rng: Generator) -> Mesh:
    """An angle or a channel of sheet metal, or a T-shaped profile."""
    length, wide, high = rng.uniform(0.03, 0.14), rng.uniform(0.02, 0.07), rng.uniform(0.015, 0.06)
    sheet = rng.uniform(0.002, 0.008)
    parts = [block((length, wide, sheet))]
    kind = rng.integers(3)
    places = ((wide - sheet) / 2,), (-(wide - sheet) / 2, (wide - sheet) / 2), (0.0,)
    parts += [block((length, sheet, high), y=y) for y in places[kind]]
    mesh = join(*parts)
    if rng.random() < 0.3:
        mesh = mesh.rotated(rotate("x", np.pi / 2 if rng.random() < 0.5 else np.pi))
    return mesh.painted(_metal(rng) if rng.random() < 0.7 else paint(rng)).grounded()


def hex_key(rng: Generator) -> Mesh:
    """A bent rod."""
    radius, long, short = rng.uniform(0.002, 0.005), rng.uniform(0.06, 0.16), rng.uniform(0.02, 0.05)
    bend = np.array([[long, 0, 0], [0.01, 0, 0], [0.003, 0.003, 0], [0, 0.01, 0], [0, short, 0]])
    return tube(bend, radius, 6).painted(_metal(rng)).grounded()


def joint(rng: Generator) -> Mesh:
    """A pipe elbow or a T-piece."""
    radius, length = rng.uniform(0.008, 0.022), rng.uniform(0.03, 0.07)
    if rng.random() < 0.5:
        bend = arc(length, length, 0, np.pi / 2, 8)[:, [0, 2, 1]]
        mesh = tube(bend, radius, 12)
    else:
        stem = cylinder(radius * 0.9, length, 14).rotated(rotate("x", np.pi / 2))
        mesh = join(_lying(radius, 2 * length, 14).moved((-length, 0, -radius)), stem)
    return mesh.painted(_metal(rng) if rng.random() < 0.5 else paint(rng)).grounded()


def stick(rng: Generator) -> Mesh:
    """A small flat device: a USB stick, a lighter, a sponge, a soap, an eraser, an adapter."""
    length, width = rng.uniform(0.03, 0.11), rng.uniform(0.015, 0.06)
    height = min(rng.uniform(0.006, 0.035), width)
    body = prism(rounded_outline(max(length, width), width, rng.uniform(0.001, 0.01)), height).painted(paint(rng))
    if rng.random() < 0.3:
        return join(body, box((0.015, width * 0.6, height * 0.5), (length / 2 + 0.005, 0, height / 2))).grounded()
    return body.grounded()


def battery(rng: Generator) -> Mesh:
    """A battery, a chess piece or a small tin, standing or lying."""
    radius = rng.uniform(0.006, 0.017)
    mesh = cylinder(radius, radius * rng.uniform(1.5, 5.0), 14).painted(paint(rng))
    return (mesh.rotated(rotate("x", np.pi / 2)) if rng.random() < 0.6 else mesh).grounded()


def gear(rng: Generator) -> Mesh:
    """A gear wheel or a flange."""
    radius, height = rng.uniform(0.015, 0.05), rng.uniform(0.005, 0.02)
    teeth = [box((radius * 0.25, radius * 0.2, height), (radius, 0, height / 2)) for _ in range(10)]
    parts = [tooth.rotated(rotate("z", k * np.pi / 5)) for k, tooth in enumerate(teeth)]
    hub = cylinder(radius * rng.uniform(0.3, 0.5), height * rng.uniform(1.2, 2.5), 14)
    return join(_ring(radius, radius * 0.2, height), hub, *parts).painted(_metal(rng)).grounded()


PART_KINDS: tuple[Callable[[Generator], Mesh], ...] = (
    *(cutlery, cutlery, scissors, pen, screwdriver, wrench, pliers, bolt, ring, bracket, hex_key),
    *(joint, stick, stick, battery, gear),
)
