"""`dspdet3d sweep` with a network of random weights."""

import json

from dspdet3d_ros.cli import main


def test_every_tau_has_its_accuracy_and_its_cost(scannet, checkpoint, tmp_path, capsys):
    out, png = tmp_path / "sweep.json", tmp_path / "sweep.png"
    arguments = ["sweep", str(scannet), "--checkpoint", str(checkpoint), "--device", "cpu", "--json", str(out)]
    assert main([*arguments, "--taus", "1", "0", "--plot", str(png)]) == 0
    values = json.loads(out.read_text())
    none, all_pruned = values["taus"]
    assert (none["tau"], all_pruned["tau"], values["scenes"]) == (0, 1, 2)
    assert none["cells"]["level0"] > 0
    assert all_pruned["cells"]["level0"] == 0
    assert sum(none["cells"].values()) > sum(all_pruned["cells"].values())
    assert min(none["head_ms"], all_pruned["head_ms"]) > 0
    assert none["figures"]["agnostic"]["objects"] == 4
    assert set(none["figures"]["objects"]) == {"small", "other"}
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    assert table[0].count("|") == table[2].count("|")
    assert png.read_bytes().startswith(b"\x89PNG")
