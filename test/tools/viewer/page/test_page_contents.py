"""A page contains a sample of the cloud and every box. It makes no requests, and no text becomes markup."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_up_report import report

from dspdet3d_ros.cli import main
from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tools.viewer.page import runs_at, write_page
from dspdet3d_ros.tools.viewer.page.html_file import page_text
from dspdet3d_ros.tools.viewer.page.shown_points import STEPS, ShownPoints


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data

    @property
    def contents(self):
        return json.loads(self.scripts[0])


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind).reshape(-1, 3)


@pytest.mark.parametrize(("away", "kind"), [(400, np.float32), (4e6, np.float64)])
def test_points_and_colours_come_back_as_they_were(away, kind):
    rng = np.random.default_rng(1)
    xyz = rng.uniform((away, -3, 0), (away + 4, 5, 2.5), (1000, 3)).astype(kind)
    rgb = rng.integers(0, 256, (1000, 3), dtype=np.uint8)
    shown = ShownPoints.of(PointCloud.of(xyz, rgb)).as_json()
    found = shown["low"] + numbers(shown["xyz"], "<u2") / STEPS * shown["size"]
    order = np.lexsort(numbers(shown["rgb"], np.uint8).T)
    expected = np.lexsort(rgb.T)
    np.testing.assert_allclose(found[order], xyz[expected], rtol=0, atol=8 / STEPS)
    assert (shown["count"], shown["total"]) == (1000, 1000)


def test_a_large_cloud_is_thinned_evenly_and_any_first_part_of_it_is_even():
    xyz = np.zeros((100_000, 3), np.float32)
    xyz[:, 0] = np.arange(100_000)
    shown = ShownPoints.of(PointCloud.of(xyz), most=20_000)
    assert (len(shown.xyz), shown.total, shown.rgb) == (20_000, 100_000, None)
    for part in (shown.xyz, shown.xyz[:2000]):
        shares = np.histogram(part[:, 0], bins=10, range=(0, 100_000))[0] / len(part)
        np.testing.assert_allclose(shares, 0.1, atol=0.03)
    np.testing.assert_array_equal(ShownPoints.of(PointCloud.of(xyz), most=20_000).xyz, shown.xyz)


def test_points_that_are_not_finite_are_left_out():
    xyz = np.array([[0, 0, 0], [np.nan, 0, 0], [1, 1, 1], [np.inf, 0, 0]], np.float32)
    assert ShownPoints.of(PointCloud.of(xyz)).as_json()["count"] == 2


def test_the_spacing_of_points_on_a_surface_is_that_of_the_grid():
    x, y = np.meshgrid(np.arange(0, 3, 0.01), np.arange(0, 3, 0.01))
    xyz = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    assert ShownPoints.of(PointCloud.of(xyz)).spacing() == pytest.approx(0.01, rel=0.15)


def test_the_page_contains_every_box_and_the_cost_of_every_run():
    contents = Page(page_text(report(truth=True))).contents
    assert [run["tau"] for run in contents["runs"]] == [0.4, 0.8]
    assert contents["runs"][0]["scores"] == pytest.approx([0.9, 0.6, 0.3])
    assert contents["runs"][1]["boxes"] == [[2.2, 2, 0.8, 0.1, 0.08, 0.1], [2.32, 2, 0.8, 0.1, 0.08, 0.1]]
    assert contents["runs"][0]["kept"] == [540] * 4
    assert contents["runs"][0]["stage_ms"] == [["points", 1.0], ["backbone", 5.0]]
    assert contents["cells_m"] == pytest.approx([0.32, 0.16, 0.08, 0.04])
    assert contents["truth"]["names"] == ["cup"]


def test_turned_boxes_have_their_yaw_on_the_page():
    made = report()
    turned = [replace(run, turned=np.column_stack([run.boxes, np.full(len(run), 0.25)])) for run in made.runs]
    contents = Page(page_text(replace(made, runs=tuple(turned)))).contents
    assert contents["runs"][1]["boxes"] == [[2.2, 2, 0.8, 0.1, 0.08, 0.1, 0.25], [2.32, 2, 0.8, 0.1, 0.08, 0.1, 0.25]]


def test_the_page_contains_the_next_best_classes_of_a_box():
    one = report(scores=(0.9, 0.6))
    scores = np.float32([[0.9, 0.4, 0.2, 0.3], [0.6, 0, 0, 0]])
    run = replace(one.runs[0], class_names=("cup", "book", "can", "vase"), labels=np.zeros(2, int), class_scores=scores)
    contents = Page(page_text(replace(one, runs=[run]))).contents
    assert contents["runs"][0]["others"] == [[["book", 0.4], ["vase", 0.3]], []]


def test_the_page_holds_the_doubts_about_the_cloud():
    assert Page(page_text(report())).contents["doubts"] == []
    doubtful = replace(report(), doubts=(Remark("unit", "a cloud of <3 km>"), Remark("density", "5 cm")))
    assert Page(page_text(doubtful)).contents["doubts"] == ["a cloud of <3 km>", "5 cm"]


def test_the_page_refers_to_nothing_outside_it():
    text = page_text(report())
    page = Page(text)
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "data:").startswith("data:")
    assert "://" not in text
    assert not re.search(r"@import|url\(", text)
    policy = next(values["content"] for _, values in page.elements if "http-equiv" in values)
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize(
    "text", ["</script><script>bad()</script>", "<!--<script>", "a&lt;b \u2028 {{script}} \\", "\udcff"]
)
def test_no_name_becomes_markup(text):
    page = Page(page_text(report(name=text, classes=(text, "cup"))))
    plain = Page(page_text(report()))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.contents["name"] == text
    assert page.contents["classes"][0] == text
    assert page.scripts[1:] == plain.scripts[1:]


@pytest.mark.parametrize("points", [0, 1, 2])
def test_clouds_of_next_to_nothing_without_boxes_make_a_page(points):
    contents = Page(page_text(report(points=points, scores=()))).contents
    assert contents["points"]["count"] == points
    assert contents["runs"][0]["boxes"] == []
    assert np.isfinite([*contents["view"]["low"], *contents["view"]["high"], contents["points"]["spacing"]]).all()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_page(tmp_path / "file" / "a.html", report())


def test_a_page_goes_to_lower_scores_without_changing_the_boxes_above():
    detector = Detector.load(device="cpu")
    xyz = read_cloud(DEMO_CLOUD).xyz
    xyz = xyz[xyz[:, 0] < 0]
    settings = replace(detector.default_settings(), score_threshold=0.8)
    runs = runs_at([0.8, 0.4], detector, PointCloud(xyz), settings)
    assert [run.stats.pruning_threshold for run in runs] == [0.4, 0.8]
    asked, low = detector(xyz, settings), runs[0]
    above = low.scores >= settings.score_threshold
    assert len(low) > above.sum() > 0
    np.testing.assert_array_equal(low.boxes[above], asked.boxes)
    np.testing.assert_array_equal(low.labels[above], asked.labels)


def test_thresholds_for_a_page_that_is_not_asked_for_are_refused(tmp_path, capsys):
    assert main(["detect", str(tmp_path / "a.npz"), "--taus", "0.5"]) == 1
    assert "--html" in capsys.readouterr().err
