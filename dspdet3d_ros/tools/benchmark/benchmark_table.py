"""The figures as a table to read."""

from __future__ import annotations

from typing import Any

_LABELS = {"points": "filter, recentre", "postprocess": "post-processing"}


def table(values: dict[str, Any]) -> str:
    """Stages by row, engines by column, then what the figures are to be judged by."""
    scene, engines = values["scene"], values["engines"]
    lines = [
        f"{scene['name']}: {scene['points']} points, {scene['voxels']} voxels; model {values['model']}, "
        f"pruning threshold {values['pruning_threshold']:g}",
        f"{values['rounds']} rounds after {values['warmup']} of warm-up",
        "",
        _head(list(engines)),
    ]
    work, levels = values["work"]["stages"], {f"level{level['level']}": level for level in scene["levels"]}
    stages = dict.fromkeys(stage for engine in engines.values() for stage in engine["stages"])
    for stage in stages:
        times = [engine["stages"].get(stage) for engine in engines.values()]
        lines.append(_row(_LABELS.get(stage, stage), times, work.get(stage), levels.get(stage)))
    maps = [engine.get("maps_ms") for engine in engines.values()]
    lines.append(_row("network", [engine["network_ms"] for engine in engines.values()], values["work"]["network"]))
    if any(maps):
        lines.append(_row("  its kernel maps", maps))
    lines.append(_row("in all", [engine["total_ms"] for engine in engines.values()]))
    lines += ["", *_judgement(values)]
    if "convolutions" in values:
        lines += ["", *_convolutions(values["convolutions"])]
    return "\n".join(lines)


def machine_line(machine: dict[str, Any]) -> str:
    """What the figures were measured on."""
    where = machine.get("gpu", machine["processor"])
    return f"{where}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"


def _convolutions(rows: list[dict[str, Any]]) -> list[str]:
    """Each kind by engine: with the kernel map ready, and with outputs and map made anew."""
    lines = [
        f"{'the largest convolution of each kind':38}{'rows':>8}{'filled':>8}{'of all':>8}"
        f"{'ms':>9}{'GFLOP/s':>9}{'of mm':>7}{'with map':>10}{'GFLOP/s':>9}{'of mm':>7}"
    ]
    for row in rows:
        for name, states in row["engines"].items():
            line = f"{row['kind'] + ', ' + name:38}{row['rows']:8d}{row['filled']:8.0%}{row['share_of_run']:8.0%}"
            for state, width in (("ready", 9), ("with_map", 10)):
                found = states[state]
                share = found["share_of_ceiling"]
                line += f"{found['ms']['median']:{width}.1f}{found['gflops']:9.0f}"
                line += f"{'-':>7}" if share is None else f"{share:7.0%}"
            lines.append(line)
    return lines


def _head(engines: list[str]) -> str:
    columns = "".join(f"{f'{name} ms':>14}{'p90':>9}" for name in engines)
    return f"{'':18}{columns}{'GFLOP':>9}{'GFLOP/s':>9}{'cells':>10}{'kept':>9}"


def _row(
    label: str,
    times: list[dict[str, float] | None],
    work: dict[str, float] | None = None,
    level: dict[str, int] | None = None,
) -> str:
    columns = "".join(
        f"{time['median']:14.1f}{time['p90']:9.1f}" if time is not None else f"{'-':>14}{'-':>9}" for time in times
    )
    row = f"{label:18}{columns}"
    if work is not None:
        row += f"{work['gflop']:9.2f}{work['gflops']:9.1f}"
    if level is not None:
        row += f"{level['before']:10d}{level['kept']:9d}"
    return row


def _judgement(values: dict[str, Any]) -> list[str]:
    lines = []
    for channels, ceiling in values["ceiling"].items():
        best = max(ceiling["products"], key=lambda product: product["gflops"])
        others = ", ".join(f"{p['kind']} {p['rows']}x{p['inner']}: {p['gflops']:.0f}" for p in ceiling["products"])
        lines.append(
            f"torch.mm, {channels} channels: {best['gflops']:.0f} GFLOP/s ({others}); "
            f"the network reaches {values['work']['network']['gflops'] / best['gflops']:.0%}"
        )
    for name, engine in values["engines"].items():
        if "memory" in engine:
            memory = ", ".join(f"{key.removesuffix('_mb')} {value:.0f}" for key, value in engine["memory"].items())
            lines.append(f"memory of {name}, MB: {memory}")
    if "speedup" in values:
        lines.append(
            f"{values['against']} takes {values['speedup']:.2f} times as long in the network, "
            f"{values['speedup_total']:.2f} times in all; "
            f"{values['agreement']['boxes']} boxes, {values['agreement']['alike']} of them alike"
        )
    return lines
