"""Round and soft small objects: bottles, cups, bowls, fruit, plants. Each stands on z = 0 about the z axis."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.meshes import Mesh, arc, cylinder, ellipsoid, join, revolve, tube

Generator = np.random.Generator


def paint(rng: Generator) -> np.ndarray:
    """A random colour, (3,) in 0..255: mostly saturated, else greyish."""
    if rng.random() < 0.6:
        return rng.uniform(30, 240, 3)
    return np.clip(rng.uniform(40, 235) + rng.uniform(-15, 15, 3), 0, 255)


def _cup_wall(radius: float, foot: float, height: float, wall: float = 0.004) -> list[tuple[float, float]]:
    """Profile of an open vessel with a straight wall and an inner floor."""
    return [(0, 0), (foot, 0), (radius, height), (radius - wall, height), (foot - wall, 0.006), (0, 0.006)]


def _handle(radius: float, reach: float, half_height: float, middle: float, thickness: float) -> Mesh:
    """A handle on the +x side of a wall at `radius`."""
    ring = arc(reach, half_height, -np.pi / 2, np.pi / 2) + [radius - 0.003, 0, middle]
    return tube(ring, thickness)


def cup(rng: Generator) -> Mesh:
    """A tumbler, glass or paper cup."""
    radius, height = rng.uniform(0.03, 0.05), rng.uniform(0.07, 0.16)
    return revolve(_cup_wall(radius, radius * rng.uniform(0.65, 1.0), height)).painted(paint(rng))


def mug(rng: Generator) -> Mesh:
    """A mug with a handle."""
    radius, height = rng.uniform(0.034, 0.05), rng.uniform(0.075, 0.12)
    body = revolve(_cup_wall(radius, radius * rng.uniform(0.85, 1.0), height)).painted(paint(rng))
    grip = _handle(radius, rng.uniform(0.022, 0.034), height * 0.32, height * 0.52, 0.005)
    return join(body, grip.painted(body.colors[0]))


def bottle(rng: Generator) -> Mesh:
    """A bottle: round or flattened, with a neck, sometimes a handle-less detergent shape."""
    radius, height = rng.uniform(0.025, 0.05), rng.uniform(0.14, 0.34)
    neck, shoulder = radius * rng.uniform(0.28, 0.5), rng.uniform(0.5, 0.78)
    rise = rng.uniform(0.04, 0.18)
    body = revolve(
        [(0, 0), (radius, 0), (radius, height * shoulder), (neck, height * min(shoulder + rise, 0.93)), (neck, height)]
    ).painted(paint(rng))
    cap = cylinder(neck * 1.15, height * 0.06, 14).moved((0, 0, height * 0.96)).painted(paint(rng))
    flat = rng.uniform(0.5, 0.8) if rng.random() < 0.25 else 1.0
    return join(body, cap).scaled((1.0, flat, 1.0))


def can(rng: Generator) -> Mesh:
    """A drink or food can."""
    radius = rng.uniform(0.026, 0.055)
    height = rng.uniform(0.08, 0.17) if radius < 0.04 else rng.uniform(0.04, 0.14)
    rim = 0.003
    profile = [(0, rim), (radius * 0.85, 0), (radius, rim), (radius, height - rim), (radius * 0.88, height)]
    return revolve([*profile, (radius * 0.85, height - rim), (0, height - rim)]).painted(paint(rng))


def jar(rng: Generator) -> Mesh:
    """A jar, tin or round container with a lid."""
    radius = float(np.exp(rng.uniform(np.log(0.03), np.log(0.1))))
    height = radius * rng.uniform(0.9, 3.0) if radius < 0.06 else radius * rng.uniform(0.5, 1.8)
    height = min(height, 0.26)
    lid = rng.uniform(0.1, 0.25) * height
    waist = radius * rng.uniform(0.8, 1.0)
    body = revolve([(0, 0), (radius, 0), (radius, height - lid * 1.3), (waist, height - lid)]).painted(paint(rng))
    top = cylinder(min(waist * 1.06, radius), lid).moved((0, 0, height - lid)).painted(paint(rng))
    return join(body, top)


def bowl(rng: Generator) -> Mesh:
    """A bowl of curved wall."""
    radius = rng.uniform(0.05, 0.14)
    height, foot, wall = radius * rng.uniform(0.4, 0.85), radius * rng.uniform(0.35, 0.6), 0.005
    bend = np.linspace(0, np.pi / 2, 6)
    outer = [(foot + (radius - foot) * np.sin(a), height * (1 - np.cos(a))) for a in bend]
    inner = [(max(r - wall, 0.0), z + wall * (1 - z / height)) for r, z in outer[::-1]]
    return revolve([(0, 0), *outer, *inner, (0, wall)]).painted(paint(rng))


def plate(rng: Generator) -> Mesh:
    """A plate with a raised rim."""
    radius, height = rng.uniform(0.07, 0.145), rng.uniform(0.012, 0.028)
    flat = radius * rng.uniform(0.55, 0.7)
    inner = [(radius - 0.004, height), (flat, 0.007), (0, 0.007)]
    return revolve([(0, 0), (flat, 0), (radius, height - 0.003), *inner], 28).painted(paint(rng))


def saucepan(rng: Generator) -> Mesh:
    """A pan or pot with one long or two short handles, with or without a lid."""
    radius, height = rng.uniform(0.07, 0.12), rng.uniform(0.05, 0.13)
    parts = [revolve(_cup_wall(radius, radius * 0.96, height, 0.003)).painted(paint(rng))]
    dark = rng.uniform(10, 60, 3)
    if rng.random() < 0.6:
        reach = rng.uniform(0.12, 0.2)
        grip = np.linspace([radius * 0.95, 0, height * 0.8], [radius + reach, 0, height * rng.uniform(0.8, 1.1)], 6)
        parts.append(tube(grip, 0.009).painted(dark))
    else:
        for side in (0.0, np.pi):
            ring = _handle(radius, 0.03, 0.03, 0.0, 0.006).rotated(rotate("x", np.pi / 2)).moved((0, 0, height * 0.8))
            parts.append(ring.rotated(rotate("z", side)).painted(dark))
    if rng.random() < 0.4:
        parts.append(
            revolve([(radius, height), (radius * 0.5, height + 0.018), (0, height + 0.02)]).painted(paint(rng))
        )
        parts.append(cylinder(0.014, 0.02, 12).moved((0, 0, height + 0.018)).painted(dark))
    return join(*parts)


def tea_pot(rng: Generator) -> Mesh:
    """A tea pot or kettle: round body, spout, handle, lid."""
    radius = rng.uniform(0.06, 0.1)
    height = radius * rng.uniform(1.2, 1.7)
    bend = np.linspace(-0.9, 1.15, 9)
    color = paint(rng)
    body = revolve([(0, 0), *[(radius * np.cos(a), height * (0.45 + 0.55 * np.sin(a))) for a in bend], (0, height)])
    spout = np.linspace([radius * 0.8, 0, height * 0.4], [radius * 1.65, 0, height * 0.9], 6)
    grip = _handle(radius * 0.9, radius * 0.6, height * 0.33, height * 0.5, 0.007).rotated(rotate("z", np.pi))
    knob = ellipsoid((0.014, 0.014, 0.012), (0, 0, height * 1.0 + 0.01), 10)
    low = body.bounds()[0][2]
    return join(*[part.painted(color) for part in (body, tube(spout, 0.013), grip, knob)]).moved((0, 0, -low))


def vase(rng: Generator) -> Mesh:
    """A vase of random belly and neck."""
    height, radius = rng.uniform(0.13, 0.34), rng.uniform(0.04, 0.09)
    foot, neck, lip = radius * rng.uniform(0.4, 0.8), radius * rng.uniform(0.3, 0.7), radius * rng.uniform(0.45, 0.9)
    belly, throat = rng.uniform(0.25, 0.5), rng.uniform(0.7, 0.88)
    outer = [(foot, 0), (radius, height * belly), (neck, height * throat), (lip, height)]
    inner = [(lip - 0.004, height), (neck - 0.004, height * throat), (radius * 0.7, height * belly), (0, 0.02)]
    return revolve([(0, 0), *outer, *inner]).painted(paint(rng))


def candle(rng: Generator) -> Mesh:
    """A pillar candle, or a thin one on a holder."""
    if rng.random() < 0.6:
        radius, height = rng.uniform(0.025, 0.05), rng.uniform(0.06, 0.18)
        return join(cylinder(radius, height), cylinder(0.002, height + 0.012, 6)).painted(paint(rng))
    foot, height = rng.uniform(0.035, 0.055), rng.uniform(0.15, 0.3)
    holder = revolve([(0, 0), (foot, 0), (foot, 0.01), (0.012, 0.02), (0.012, 0.06), (0.02, 0.07), (0, 0.07)])
    stick = cylinder(rng.uniform(0.009, 0.013), height - 0.07, 12).moved((0, 0, 0.07))
    return join(holder.painted(paint(rng)), stick.painted(paint(rng)))


def fruit(rng: Generator) -> Mesh:
    """An apple, lemon, melon or banana."""
    kind = rng.random()
    if kind < 0.2:
        length = rng.uniform(0.15, 0.2)
        bend = arc(length * 0.5, length * 0.35, 0.15 * np.pi, 0.85 * np.pi, 10)
        return (
            tube(bend, rng.uniform(0.016, 0.021), 10).rotated(rotate("x", np.pi / 2)).painted((220, 195, 60)).grounded()
        )
    radius = rng.uniform(0.06, 0.1) if kind > 0.9 else rng.uniform(0.028, 0.05)
    radii = radius * np.array([1.0, 1.0, rng.uniform(0.8, 1.0)]) * [rng.uniform(1.0, 1.4), 1, 1]
    return ellipsoid(radii).painted(paint(rng)).grounded()


def plant(rng: Generator) -> Mesh:
    """A pot plant or cactus."""
    radius, height = rng.uniform(0.035, 0.08), rng.uniform(0.06, 0.13)
    pot = revolve([(0, 0), (radius * 0.7, 0), (radius, height), (radius - 0.006, height), (0, height - 0.012)])
    parts = [pot.painted(paint(rng))]
    green = np.array([rng.uniform(20, 90), rng.uniform(90, 170), rng.uniform(20, 80)])
    if rng.random() < 0.3:
        tall = rng.uniform(0.05, 0.16)
        cactus = ellipsoid((radius * 0.6, radius * 0.6, tall / 2), (0, 0, height + tall / 2 - 0.02))
        parts.append(cactus.painted(green))
        return join(*parts)
    reach = rng.uniform(0.08, 0.2)
    for _ in range(int(rng.integers(10, 26))):
        way, lift = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.4)
        out = reach * rng.uniform(0.5, 1.0)
        leaf = ellipsoid((out / 2, out * rng.uniform(0.1, 0.25), 0.002), (out / 2, 0, 0), 10)
        leaf = leaf.rotated(rotate("y", -lift)).rotated(rotate("z", way)).moved((0, 0, height - 0.015))
        parts.append(leaf.painted(green * rng.uniform(0.7, 1.2)))
    return join(*parts)


def doll(rng: Generator) -> Mesh:
    """A sitting teddy or a standing figure."""
    unit = rng.uniform(0.03, 0.055)
    tall = rng.uniform(1.0, 1.6)
    color, face = paint(rng), paint(rng)
    parts = [ellipsoid((unit, unit * 0.85, unit * tall), (0, 0, unit * tall)).painted(color)]
    head = unit * (2 * tall + 0.55)
    parts.append(ellipsoid((unit * 0.75,) * 3, (0, 0, head)).painted(face))
    for side in (-1, 1):
        parts.append(ellipsoid((unit * 0.3,) * 3, (side * unit * 0.5, 0, head + unit * 0.7), 10).painted(face))
        arm = ellipsoid((unit * 0.32, unit * 0.32, unit * 0.7), sides=10).rotated(rotate("y", side * 0.7))
        parts.append(arm.moved((side * unit * 1.1, unit * 0.2, unit * tall * 1.2)).painted(color))
        leg = ellipsoid((unit * 0.4, unit * 0.85, unit * 0.4), (side * unit * 0.55, unit * 0.8, unit * 0.4), 10)
        parts.append(leg.painted(color))
    return join(*parts).grounded()


def cap(rng: Generator) -> Mesh:
    """A cap: half a dome with a brim."""
    radius, height = rng.uniform(0.075, 0.1), rng.uniform(0.08, 0.12)
    bend = np.linspace(0, np.pi / 2, 6)
    dome = revolve([(radius * np.cos(a), height * np.sin(a)) for a in bend])
    brim = ellipsoid((radius * 0.85, radius * 0.8, 0.003), (radius * 0.75, 0, 0.006), 16)
    return join(dome, brim).painted(paint(rng)).grounded()


def lamp(rng: Generator) -> Mesh:
    """A desk lamp: with a shade above its foot, or with a bent arm."""
    height, foot = rng.uniform(0.26, 0.46), rng.uniform(0.05, 0.09)
    base = cylinder(foot, 0.018).painted(paint(rng))
    if rng.random() < 0.5:
        wide, narrow = rng.uniform(0.08, 0.14), rng.uniform(0.04, 0.08)
        shade = revolve([(wide, height * 0.58), (narrow, height)]).painted(paint(rng))
        return join(base, cylinder(0.01, height * 0.8, 10).painted((90, 90, 95)), shade)
    reach = rng.uniform(0.08, 0.2)
    arm = tube(np.array([[0, 0, 0.01], [-reach * 0.5, 0, height * 0.55], [reach, 0, height]]), 0.008)
    head = revolve([(0.055, -0.07), (0.03, 0.0), (0, 0.01)]).rotated(rotate("y", -0.4)).moved((reach, 0, height))
    return join(base, arm.painted(paint(rng)), head.painted(paint(rng)))
