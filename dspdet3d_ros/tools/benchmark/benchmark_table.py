"""The figures of the benchmark as a table."""

from __future__ import annotations

from typing import Any

_LABELS = {"points": "filter, recentre", "postprocess": "post-processing"}


def table(values: dict[str, Any]) -> str:
    """Stages as rows and engines as columns, then GEMM peak, memory and comparison."""
    scene, engines = values["scene"], values["engines"]
    lines = [
        f"{scene['name']}: {scene['points']} points, {scene['voxels']} voxels; model {values['model']}, "
        f"pruning threshold {values['pruning_threshold']:g}",
        f"repeats: {values['repeats']}, warm-up runs: {values['warmup']}",
        "",
        _head(list(engines)),
    ]
    flops, levels = values["flop_count"]["stages"], {f"level{level['level']}": level for level in scene["levels"]}
    stages = dict.fromkeys(stage for engine in engines.values() for stage in engine["stages"])
    for stage in stages:
        times = [engine["stages"].get(stage) for engine in engines.values()]
        lines.append(_row(_LABELS.get(stage, stage), times, flops.get(stage), levels.get(stage)))
    maps = [engine.get("maps_ms") for engine in engines.values()]
    network = [engine["network_ms"] for engine in engines.values()]
    lines.append(_row("network", network, values["flop_count"]["network"]))
    if any(maps):
        lines.append(_row("  its kernel maps", maps))
    lines.append(_row("total", [engine["total_ms"] for engine in engines.values()]))
    lines += ["", *_summary(values)]
    if "convolutions" in values:
        lines += ["", *_convolutions(values["convolutions"])]
    return "\n".join(lines)


def machine_line(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    where = machine.get("gpu", machine["processor"])
    return f"{where}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"


def _convolutions(rows: list[dict[str, Any]]) -> list[str]:
    """One row per kind and engine: with a ready kernel map, and including the output coordinates and the map."""
    lines = [
        f"{'largest convolution of each kind':38}{'rows':>8}{'filled':>8}{'% FLOP':>8}"
        f"{'ms':>9}{'GFLOP/s':>9}{'% peak':>7}{'with map':>10}{'GFLOP/s':>9}{'% peak':>7}"
    ]
    for row in rows:
        for name, states in row["engines"].items():
            line = f"{row['kind'] + ', ' + name:38}{row['rows']:8d}{row['filled']:8.0%}{row['share_of_run']:8.0%}"
            for state, width in (("ready", 9), ("with_map", 10)):
                figures = states[state]
                share = figures["share_of_gemm_peak"]
                line += f"{figures['ms']['median']:{width}.1f}{figures['gflops']:9.0f}"
                line += f"{'-':>7}" if share is None else f"{share:7.0%}"
            lines.append(line)
    return lines


def _head(engines: list[str]) -> str:
    columns = "".join(f"{f'{name} ms':>14}{'p90':>9}" for name in engines)
    return f"{'':18}{columns}{'GFLOP':>9}{'GFLOP/s':>9}{'cells':>10}{'kept':>9}"


def _row(
    label: str,
    times: list[dict[str, float] | None],
    flops: dict[str, float] | None = None,
    level: dict[str, int] | None = None,
) -> str:
    columns = "".join(
        f"{time['median']:14.1f}{time['p90']:9.1f}" if time is not None else f"{'-':>14}{'-':>9}" for time in times
    )
    row = f"{label:18}{columns}"
    if flops is not None:
        row += f"{flops['gflop']:9.2f}{flops['gflops']:9.1f}"
    if level is not None:
        row += f"{level['before']:10d}{level['kept']:9d}"
    return row


def _summary(values: dict[str, Any]) -> list[str]:
    lines = []
    for channels, peak in values["gemm_peak"].items():
        shapes = ", ".join(f"{p['kind']} {p['rows']}x{p['inner']}: {p['gflops']:.0f}" for p in peak["products"])
        lines.append(
            f"GEMM peak, {channels} channels: {peak['gflops']:.0f} GFLOP/s ({shapes}); "
            f"the network reaches {values['flop_count']['network']['gflops'] / peak['gflops']:.0%}"
        )
    for name, engine in values["engines"].items():
        if "memory" in engine:
            memory = ", ".join(f"{key.removesuffix('_mb')} {value:.0f}" for key, value in engine["memory"].items())
            lines.append(f"memory of {name}, MB: {memory}")
    if "speedup" in values:
        lines.append(
            f"{values['against']} takes {values['speedup']:.2f} times as long in the network, "
            f"{values['speedup_total']:.2f} times in total; "
            f"{values['agreement']['agreeing']} of {values['agreement']['boxes']} boxes agree"
        )
    return lines
