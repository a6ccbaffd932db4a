"""The page in a real browser: cloud and boxes are drawn, all controls do what they say, nothing complains."""

import io
import json

import numpy as np
import pytest
from browser import Browser
from made_up_report import report

from dspdet3d_ros.cli import main
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.tools.viewer.page import write_page
from dspdet3d_ros.tools.viewer.page.shown_points import MAX_POINTS

image = pytest.importorskip("matplotlib.image", reason="screenshots are read with matplotlib, which is not installed")


@pytest.fixture(scope="module")
def demo(browser, tmp_path_factory):
    """The page of the demo scene, and what the shipped model found in it."""
    path = tmp_path_factory.mktemp("demo") / "report.html"
    assert main(["detect", str(DEMO_CLOUD), "--device", "cpu", "--html", str(path), "--taus", "0.8"]) == 0
    browser.open(path)
    return path, browser.do("JSON.parse(document.getElementById('contents').textContent)")


def show(browser, path, **contents):
    write_page(path, report(**contents))
    browser.open(path)


def picture(browser):
    """(H, W, 3) of the 3D view, without labels, help, panel and the border that tells where keys go."""
    browser.do("document.querySelectorAll('#labels, #help, #scale').forEach((e) => (e.style.visibility = 'hidden'))")
    browser.drawn()
    width = browser.do("document.getElementById('view').clientWidth")
    return image.imread(io.BytesIO(browser.screenshot()))[4:-4, 4 : width - 4, :3]


def text(browser, element):
    return browser.do(f"document.getElementById('{element}').innerText")


def listed(browser):
    return browser.do("[...document.querySelectorAll('#list li span')].map((e) => e.textContent)")


def centre(browser, selector):
    """The middle of an element in the window, after scrolling to it."""
    return browser.do(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{ block: 'nearest' }});"
        " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )


def click(browser, selector):
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, *centre(browser, selector), button="left", clickCount=1)


def slide(browser, element, value):
    browser.do(
        f"(() => {{ const e = document.getElementById('{element}'); e.value = {value};"
        " e.dispatchEvent(new Event('input')); })()"
    )
    browser.drawn()


def names_at(contents, run, score):
    """The classes of the boxes of a run with at least this score, best first."""
    found = contents["runs"][run]
    return [contents["classes"][label] for label, s in zip(found["labels"], found["scores"], strict=True) if s >= score]


def test_the_demo_page_loads_without_a_complaint_and_without_a_network(browser, demo):
    path, contents = demo
    browser.open(path)
    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]
    assert listed(browser) == names_at(contents, 0, contents["score"])
    assert text(browser, "name") == DEMO_CLOUD.name
    assert text(browser, "costs").count("0.8") == 1
    seen = picture(browser)
    assert (np.abs(seen - seen[2, 2]).max(axis=2) > 0.1).mean() > 0.2


def test_the_slider_hides_boxes(browser, demo):
    path, contents = demo
    browser.open(path)
    counts, pictures = [], []
    for score in (contents["least_score"], 0.5, 0.8, browser.do("Number(document.getElementById('score').max)")):
        slide(browser, "score", score)
        counts.append(len(listed(browser)))
        pictures.append(picture(browser))
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0
    assert text(browser, "count").startswith("0 boxes")
    assert browser.do("document.querySelectorAll('#labels span').length") == 0
    changed = [(np.abs(seen - pictures[-1]).max(axis=2) > 0.1).sum() for seen in pictures]
    assert changed[0] > changed[1] > changed[2] > changed[3] == 0


def test_the_buttons_show_the_boxes_of_each_pruning_threshold(browser, demo):
    path, contents = demo
    browser.open(path)
    assert names_at(contents, 1, contents["score"]) != names_at(contents, 0, contents["score"])
    click(browser, "#taus button:nth-child(2)")
    assert listed(browser) == names_at(contents, 1, contents["score"])
    assert browser.do("document.querySelector('#taus [aria-pressed=true]').textContent") == "0.8"
    click(browser, "#costs tbody tr:nth-child(1)")
    assert listed(browser) == names_at(contents, 0, contents["score"])


def test_the_box_under_the_pointer_is_explained(browser, demo):
    path, contents = demo
    browser.open(path)
    click(browser, "#list li:nth-child(2)")
    browser.drawn()
    browser.mouse("mouseMoved", *centre(browser, "#view"))
    found = contents["runs"][0]
    tip = text(browser, "tip")
    assert names_at(contents, 0, contents["score"])[1] in tip
    assert f"{found['scores'][1]:.2f}" in tip
    assert " × ".join(f"{size:.2f}" for size in found["boxes"][1][3:]) in tip
    assert browser.do("document.querySelector('#list li.hovered') === document.querySelectorAll('#list li')[1]")
    browser.mouse("mouseMoved", 5, 5)
    assert browser.do("document.getElementById('tip').hidden")
    x, y = centre(browser, "#view")
    browser.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    browser.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.wait("!document.getElementById('tip').hidden")
    assert text(browser, "tip") == tip


def differ(one, other):
    """The share of pixels that are not alike."""
    return (np.abs(one - other).max(axis=2) > 0.1).mean()


def test_wheel_and_keys_move_the_view_and_r_brings_it_back(browser, tmp_path):
    show(browser, tmp_path / "a.html", scores=())
    first = picture(browser)
    # The view may have come to rest again before anybody looks.
    browser.do(
        "new MutationObserver(() => (window.wheeled = true)).observe(document.body, { attributeFilter: ['data-view'] })"
    )
    browser.mouse("mouseWheel", 200, 200, deltaX=0, deltaY=-200)
    browser.wait("window.wheeled")
    browser.mouse("mouseMoved", 5, 5)
    near = picture(browser)
    browser.key("ArrowLeft")
    turned = picture(browser)
    assert min(differ(first, near), differ(near, turned)) > 0.01
    # A slider keeps the keys that move it.
    browser.do("document.getElementById('score').focus()")
    browser.key("ArrowLeft")
    assert differ(picture(browser), turned) < 1e-3
    browser.key("r")
    assert differ(picture(browser), first) < 1e-3


def test_a_million_points_without_colours_are_shown_and_turned(browser, tmp_path):
    show(browser, tmp_path / "a.html", points=1_000_000)
    assert browser.do("JSON.parse(document.getElementById('contents').textContent).points.count") == MAX_POINTS
    assert (tmp_path / "a.html").stat().st_size < 4_000_000
    before = picture(browser)
    browser.mouse("mousePressed", 300, 300, button="left", buttons=1)
    browser.mouse("mouseMoved", 420, 340, button="left", buttons=1)
    browser.mouse("mouseReleased", 420, 340, button="left")
    assert differ(picture(browser), before) > 0.05
    assert browser.complaints == []


def test_the_ceiling_can_be_cut_away_and_colours_replaced_by_height(browser, tmp_path):
    show(browser, tmp_path / "a.html", coloured=True, scores=())
    green = picture(browser)
    is_green = (green[..., 1] > 0.2) & (green[..., 0] < 0.1) & (green[..., 2] < 0.1)
    assert is_green.mean() > 0.05
    click(browser, "#by-height")
    by_height = picture(browser)
    assert ((by_height[..., 2] > 0.2) & is_green).sum() > 0.5 * is_green.sum()
    slide(browser, "cut", -1)
    assert (np.abs(picture(browser) - by_height).max(axis=2) > 0.1)[is_green].mean() > 0.5


def test_ground_truth_is_shown_where_there_is_one(browser, tmp_path):
    show(browser, tmp_path / "a.html", scores=(), truth=True)
    assert browser.do("document.querySelectorAll('#labels span').length") == 0
    without = picture(browser)
    click(browser, "#show-truth")
    assert differ(picture(browser), without) > 0
    show(browser, tmp_path / "b.html")
    assert browser.do("document.getElementById('truth-switch').hidden")


@pytest.mark.parametrize(("points", "scores"), [(0, ()), (1, ()), (0, (0.9, 0.3)), (500, ())])
def test_nothing_to_show_is_no_fault(browser, tmp_path, points, scores):
    show(browser, tmp_path / "a.html", points=points, scores=scores)
    assert browser.complaints == []
    assert len(listed(browser)) == len(scores)
    assert text(browser, "about").startswith(f"{points} points")


def test_names_that_look_like_markup_are_shown_as_text(browser, tmp_path):
    evil = "<img src=x onerror='window.bad=1'></script><script>window.bad=1</script>"
    show(browser, tmp_path / "a.html", name=evil, classes=(evil, "cup"))
    browser.do("document.querySelector('#list li').dispatchEvent(new PointerEvent('pointerenter'))")
    assert text(browser, "name") == evil
    assert listed(browser)[0] == evil
    assert browser.do("document.title") == evil
    assert browser.do("[window.bad === undefined, document.images.length, document.scripts.length]") == [True, 0, 2]
    assert browser.complaints == []


def test_the_page_is_light_or_dark_as_the_system_is_and_can_be_switched(browser, tmp_path):
    corners = []
    for scheme in ("light", "dark"):
        browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        show(browser, tmp_path / "a.html", points=0, scores=())
        corners.append(picture(browser)[2, 2].mean())
    click(browser, "#theme")
    corners.append(picture(browser)[2, 2].mean())
    assert corners[0] == corners[2] > 0.9
    assert corners[1] < 0.2


def test_without_webgl_the_page_says_so_and_lists_the_boxes(browser, tmp_path):
    write_page(tmp_path / "a.html", report())
    plain = Browser(tmp_path / "profile", "--disable-3d-apis")
    try:
        plain.open(tmp_path / "a.html")
        assert "needs WebGL 2" in text(plain, "message")
        assert listed(plain) == ["cup", "book", "cup"]
        slide(plain, "score", 0.5)
        click(plain, "#taus button:nth-child(2)")
        assert listed(plain) == ["cup", "book"]
        assert plain.complaints == []
    finally:
        plain.close()
