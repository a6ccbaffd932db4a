"""Backend native: the same as plain torch for every kind of convolution, on every instruction set of this processor."""

import gc
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from limits import WAIT_S
from random_cells import cells_of, outputs_of

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.native import build, library
from dspdet3d_ros.sparse import CoordinateSet, TorchEngine, choose_backend, make_engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.native.maps import NativeCoordinateSet, search, windows_of
from dspdet3d_ros.sparse.native.native_engine import NativeEngine
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tools.doctor.libraries import native as doctor_native

ROOT = Path(__file__).resolve().parents[2]

KINDS = [("same", 27, 1), ("same", 27, 4), ("down", 27, 1), ("down", 1, 2), ("up", 27, 8)]
#: Enough cells within so many strides of the origin that blocks of 2 x 2 x 2 are full, and channels for these.
MANY, DENSE, BLOCK_CHANNELS = 2000, 4, [(16, 16), (32, 80)]
CHANNELS = [(1, 1), (3, 64), (5, 7), (64, 33), (70, 130)]


def usable():
    try:
        found = library.load()
    except InputError:
        return []
    return [name for name, number in library.ISAS.items() if found.native_isa_usable(number)]


needs_library = pytest.mark.skipif(not usable(), reason="the C library is not built (no C compiler)")


@pytest.fixture(params=usable() or ["none"])
def engine(request, monkeypatch):
    if request.param == "none":
        pytest.skip("the C library is not built (no C compiler)")
    monkeypatch.setenv(library.ISA_VARIABLE, request.param)
    return NativeEngine()


def native(cells):
    return NativeCoordinateSet(cells.keys, cells.stride)


def assert_near(found, wanted):
    assert found.shape == wanted.shape
    assert float((found - wanted).norm()) <= 1e-5 * float(wanted.norm()) + 1e-7


def direction_away_from_zero(unclipped):
    """A random gradient, 0 where rounding could decide whether a ReLU clips."""
    return torch.randn_like(unclipped).masked_fill_(unclipped.abs() < 1e-3, 0)


def with_zeros(features):
    """Some of them 0, as behind a ReLU: about 70 of 100."""
    return torch.relu(features - 0.5)


def assert_equals_plain_torch(engine, inputs, outputs, shape, prepare=lambda features: features):
    """Result and both gradients of a convolution with random (K, C_in, C_out) weights."""
    _, c_in, c_out = shape
    leaves = prepare(torch.randn(len(inputs), c_in)), torch.randn(shape)
    direction = prepare(torch.randn(len(outputs), c_out))
    results = []
    for each in (engine, TorchEngine()):
        features, weight = (leaf.clone().requires_grad_() for leaf in leaves)
        out = each.convolve(features, weight, inputs, outputs)
        out.backward(direction)
        results.append((out.detach(), features.grad, weight.grad))
    for found, wanted in zip(*results, strict=True):
        assert_near(found, wanted)


@pytest.mark.parametrize("count", [1, 2, 400])
@pytest.mark.parametrize(("kind", "volume", "stride"), KINDS)
def test_results_and_gradients_equal_those_of_plain_torch(engine, kind, volume, stride, count):
    inputs = cells_of(count, stride)
    outputs = outputs_of(inputs, kind)
    for c_in, c_out in CHANNELS:
        assert_equals_plain_torch(engine, inputs, outputs, (volume, c_in, c_out))


@pytest.mark.parametrize(("kind", "volume", "stride"), KINDS)
def test_where_many_inputs_are_zero_results_and_gradients_equal_those_of_plain_torch(engine, kind, volume, stride):
    inputs = cells_of(1500, stride)
    outputs = outputs_of(inputs, kind)
    for c_in, c_out in [(64, 64), (70, 130), (200, 3)]:
        assert_equals_plain_torch(engine, inputs, outputs, (volume, c_in, c_out), with_zeros)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("stride", [1, 4])
def test_results_and_gradients_in_blocks_equal_those_of_plain_torch(engine, stride, count):
    inputs = cells_of(count, stride, reach=DENSE)
    if count > 1:
        assert windows_of(native(inputs)) is not None
    for c_in, c_out in BLOCK_CHANNELS:
        assert_equals_plain_torch(engine, inputs, inputs, (27, c_in, c_out))


def weight_gradient_by_definition(features, direction, pairs):
    """`Σ_q in[map(q, k)] · direction[q]ᵀ` in float64."""
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])]).double()
    return torch.stack([padded[rows.to(torch.int64)].t() @ direction.double() for rows in pairs.by_offset])


@pytest.mark.parametrize(("kind", "volume", "stride"), KINDS)
@pytest.mark.parametrize("channels", [(3, 64), (17, 33)])
@pytest.mark.parametrize("count", [0, 1, 400])
def test_the_gradient_of_the_weights_is_the_sum_over_all_pairs(engine, kind, volume, stride, channels, count):
    inputs = native(cells_of(count, stride))
    assert_gradient_of_weights(engine, inputs, outputs_of(inputs, kind), volume, channels)


@pytest.mark.parametrize("channels", [(16, 16), (80, 48)])
def test_in_blocks_the_gradient_of_the_weights_is_the_sum_over_all_pairs(engine, channels):
    dense, apart = cells_of(MANY, 2, reach=DENSE), cells_of(20, 2, reach=200)
    keys = torch.cat([dense.keys, apart.keys]).unique()
    inputs = NativeCoordinateSet(keys, 2)
    assert windows_of(inputs) is not None
    assert_gradient_of_weights(engine, inputs, inputs, 27, channels)


def assert_gradient_of_weights(engine, inputs, outputs, volume, channels):
    features, weight = torch.randn(len(inputs), channels[0]), torch.randn(volume, *channels, requires_grad=True)
    direction = torch.randn(len(outputs), channels[1])
    engine.convolve(features, weight, inputs, outputs).backward(direction)
    wanted = weight_gradient_by_definition(features, direction, kernel_map(inputs, outputs, volume, search))
    assert_near(weight.grad, wanted)


@pytest.mark.parametrize("inference", [False, True])
def test_the_epilogue_adds_bias_and_residual_then_clips(engine, inference):
    with torch.inference_mode() if inference else torch.no_grad():
        for inputs, (c_in, c_out) in [
            *((cells_of(300), channels) for channels in CHANNELS),
            *((cells_of(MANY, reach=DENSE), channels) for channels in BLOCK_CHANNELS),
        ]:
            features, weight = torch.randn(len(inputs), c_in), torch.randn(27, c_in, c_out)
            for epilogue in (
                Epilogue(torch.randn(c_out), torch.randn(len(inputs), c_out), relu=True),
                Epilogue(bias=torch.randn(c_out)),
                Epilogue(residual=torch.randn(len(inputs), c_out)),
                Epilogue(relu=True),
            ):
                wanted = TorchEngine().convolve(features, weight, inputs, inputs, epilogue)
                assert_near(engine.convolve(features, weight, inputs, inputs, epilogue), wanted)


@pytest.mark.parametrize("rows", [0, 1, 700])
def test_products_and_their_gradients_equal_those_of_plain_torch(engine, rows):
    for c_in, c_out in CHANNELS:
        for bias in (None, torch.randn(1, c_out)):
            features, matrix = torch.randn(rows, c_in), torch.randn(c_in, c_out)
            with torch.no_grad():
                assert_near(engine.multiply(features, matrix, bias), TorchEngine().multiply(features, matrix, bias))
            gradients = []
            for each in (engine, TorchEngine()):
                leaves = [leaf.clone().requires_grad_() for leaf in (features, matrix)]
                each.multiply(*leaves, bias).square().sum().backward()
                gradients.append([leaf.grad for leaf in leaves])
            for found, wanted in zip(*gradients, strict=True):
                assert_near(found, wanted)


@pytest.mark.parametrize("added", [(), ("bias",), ("residual",), ("bias", "residual")])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("inputs", "channels"), [(cells_of(300), (3, 33)), (cells_of(MANY, reach=DENSE), (16, 32))])
def test_the_gradients_of_an_epilogue_follow_from_its_definition(engine, inputs, channels, relu, added):
    shapes = {"bias": (channels[1],), "residual": (len(inputs), channels[1])}
    leaves = {"features": torch.randn(len(inputs), channels[0]), "weight": torch.randn(27, *channels)}
    leaves |= {name: torch.randn(shapes[name]) for name in added}
    with torch.no_grad():
        unclipped = sum(
            (leaves[name] for name in added),
            TorchEngine().convolve(leaves["features"], leaves["weight"], inputs, inputs),
        )
    direction, gradients = direction_away_from_zero(unclipped), []
    for each in (engine, TorchEngine()):
        own = {name: leaf.clone().requires_grad_() for name, leaf in leaves.items()}
        parts = {name: own[name] for name in added}
        if each is engine:
            out = each.convolve(own["features"], own["weight"], inputs, inputs, Epilogue(**parts, relu=relu))
        else:
            out = sum(parts.values(), each.convolve(own["features"], own["weight"], inputs, inputs))
            out = torch.relu(out) if relu else out
        out.backward(direction)
        gradients.append([leaf.grad for leaf in own.values()])
    for found, wanted in zip(*gradients, strict=True):
        assert_near(found, wanted)


def test_the_gradient_of_a_residual_alone_is_found(engine):
    inputs, residual = cells_of(50), torch.zeros(len(cells_of(50)), 3, requires_grad=True)
    out = engine.convolve(torch.randn(len(inputs), 2), torch.randn(27, 2, 3), inputs, inputs, Epilogue(None, residual))
    out.backward(torch.ones_like(out))
    assert torch.equal(residual.grad, torch.ones_like(residual))


@pytest.mark.parametrize(("inputs", "channels"), [(cells_of(30), (2, 3)), (cells_of(MANY, reach=DENSE), (16, 32))])
def test_a_value_that_is_no_number_stays_one(engine, inputs, channels):
    features = torch.full((len(inputs), channels[0]), float("nan"))
    with torch.no_grad():
        out = engine.convolve(features, torch.randn(27, *channels), inputs, inputs, Epilogue(relu=True))
    assert out.isnan().all()


def test_a_value_that_is_no_number_stays_one_among_zeros(engine):
    inputs = cells_of(30)
    features = torch.zeros(len(inputs), 64)
    features[:, 33] = float("nan")
    with torch.no_grad():
        out = engine.convolve(features, torch.randn(27, 64, 64), inputs, inputs, Epilogue(relu=True))
    assert out.isnan().all()


@pytest.mark.parametrize("prepare", [torch.clone, with_zeros])
@pytest.mark.parametrize(("kind", "volume", "stride"), KINDS)
def test_results_do_not_depend_on_the_number_of_threads(engine, kind, volume, stride, prepare):
    whole = cells_of(3000, stride, reach=12)
    features, weight = prepare(torch.randn(len(whole), 17)), torch.randn(volume, 17, 64)
    results = []
    for threads in (1, 2, 3, 7):
        with torch_threads(threads):
            inputs = native(whole)
            outputs = outputs_of(inputs, kind)
            x, w = (leaf.clone().requires_grad_() for leaf in (features, weight))
            out = engine.convolve(x, w, inputs, outputs)
            out.square().sum().backward()
            pairs = kernel_map(inputs, outputs, volume, search)
            results.append((outputs.keys, pairs.by_offset, out.detach(), x.grad, w.grad))
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_results_in_blocks_do_not_depend_on_the_number_of_threads(engine):
    whole = cells_of(20000, 2, reach=8)
    features, weight, results = torch.randn(len(whole), 16), torch.randn(27, 16, 48), []
    for threads in (1, 2, 3, 7):
        with torch_threads(threads):
            inputs = native(whole)
            x, w = (leaf.clone().requires_grad_() for leaf in (features, weight))
            out = engine.convolve(x, w, inputs, inputs)
            out.square().sum().backward()
            windows = windows_of(inputs)
            assert windows is not None
            results.append((windows, out.detach(), x.grad, w.grad))
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@needs_library
def test_cells_without_neighbours_are_not_taken_in_blocks():
    assert windows_of(native(cells_of(100, 2))) is None
    assert windows_of(native(cells_of(0, 2))) is None


@needs_library
@pytest.mark.parametrize("count", [0, 1, 2, 500])
@pytest.mark.parametrize("stride", [2, 16])
def test_sets_and_maps_equal_those_of_plain_torch(count, stride):
    plain = cells_of(count, stride)
    ours = native(plain)
    for kind in ("same", "down", "up"):
        wanted, found = outputs_of(plain, kind), outputs_of(ours, kind)
        assert type(found) is NativeCoordinateSet
        assert found.stride == wanted.stride
        assert torch.equal(found.keys, wanted.keys)
        pairs, expected = kernel_map(ours, found, 27, search), kernel_map(plain, wanted, 27)
        assert torch.equal(pairs.by_offset, expected.by_offset)
        assert torch.equal(pairs.transposed().by_offset, expected.transposed().by_offset)
        assert pairs.pairs() == expected.pairs()
        assert torch.equal(found.rows_of(ours), wanted.rows_of(plain))
        assert torch.equal(ours.rows_of(found), plain.rows_of(wanted))
    kept = ours.subset(torch.arange(0, len(ours), 2))
    assert type(kept) is NativeCoordinateSet
    assert torch.equal(kept.keys, plain.keys[::2])


@needs_library
@pytest.mark.parametrize("low", [-300, -1, 0, 100_000])
def test_duplicates_keep_the_first_row(low):
    coords = torch.randint(low, low + 300, (4000, 4), generator=torch.Generator().manual_seed(0)) // 20
    coords[:, 0] = coords[:, 0].abs() % 3
    plain, first = CoordinateSet.from_coordinates(coords)
    ours, rows = NativeCoordinateSet.from_coordinates(coords)
    assert torch.equal(ours.keys, plain.keys)
    assert torch.equal(rows, first)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize(("rows", "channels"), [(2, 1), (3, 64), (700, 5), (5000, 33)])
def test_normalisation_and_its_gradients_equal_those_of_plain_torch(engine, rows, channels, added, relu):
    leaves = [3 + torch.randn(rows, channels), torch.randn(rows, channels) if added else None]
    weight, bias, results = torch.randn(channels), torch.randn(channels), []
    even = torch.nn.functional.batch_norm(leaves[0], None, None, weight, bias, training=True)
    direction = direction_away_from_zero(even if leaves[1] is None else even + leaves[1])
    for each in (engine, TorchEngine()):
        norm = torch.nn.BatchNorm1d(channels)
        norm.weight.data, norm.bias.data = weight.clone(), bias.clone()
        features, residual = (None if leaf is None else leaf.clone().requires_grad_() for leaf in leaves)
        for _ in range(2):
            out = each.normalise(features, norm, residual, relu)
        out.backward(direction)
        results.append((out.detach(), features.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()))
        results[-1] += (residual.grad,) if added else ()
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)


def test_statistics_of_all_batches_count_alike_without_a_momentum(engine):
    results = []
    for each in (engine, TorchEngine()):
        norm, batches = torch.nn.BatchNorm1d(3, momentum=None), torch.arange(90.0).view(3, 10, 3).sqrt()
        for batch in batches:
            each.normalise(batch, norm, None, False)
        results.append(list(norm.buffers()))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)


def test_normalising_does_not_depend_on_the_number_of_threads(engine):
    features, residual, direction = (torch.randn(9000, 20) for _ in range(3))
    results = []
    for threads in (1, 2, 5):
        with torch_threads(threads):
            norm, leaves = torch.nn.BatchNorm1d(20), [x.clone().requires_grad_() for x in (features, residual)]
            out = engine.normalise(leaves[0], norm, leaves[1], True)
            out.backward(direction)
            results.append((out.detach(), norm.running_var, norm.weight.grad, *(leaf.grad for leaf in leaves)))
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_what_is_no_number_stays_one_when_normalised(engine):
    features = torch.randn(10, 3)
    features[4, 1] = float("nan")
    out = engine.normalise(features, torch.nn.BatchNorm1d(3), None, True)
    assert out.isnan().all(0).tolist() == [False, True, False]


def test_no_rows_convolve_to_nothing_and_give_no_gradient(engine):
    inputs = native(cells_of(0, 4))
    for outputs in (inputs, inputs.downsampled(), inputs.expanded()):
        weight = torch.randn(27, 3, 5, requires_grad=True)
        out = engine.convolve(torch.empty(0, 3), weight, inputs, outputs)
        assert out.shape == (0, 5)
        out.sum().backward()
        assert torch.equal(weight.grad, torch.zeros(27, 3, 5))


def changed_in_place(weight):
    weight.mul_(2)


def changed_behind_the_counter(weight):
    """As averaging code writes: torch counts no change of the tensor."""
    weight.data.mul_(2)


@pytest.mark.parametrize("change", [changed_in_place, changed_behind_the_counter])
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(("inputs", "channels"), [(cells_of(50), (3, 4)), (cells_of(MANY, reach=DENSE), (16, 16))])
def test_changed_weights_take_effect(engine, change, inference, inputs, channels):
    weight, features = torch.randn(27, *channels), torch.randn(len(inputs), channels[0])
    with torch.inference_mode(inference), torch.no_grad():
        before = engine.convolve(features, weight, inputs, inputs)
        assert torch.equal(engine.convolve(features, weight, inputs, inputs), before)
        change(weight)
        assert_near(engine.convolve(features, weight, inputs, inputs), 2 * before)


def test_what_an_engine_keeps_of_weights_ends_with_them(engine):
    weight = torch.randn(27, 16, 16)
    with torch.no_grad():
        for inputs in (cells_of(50), cells_of(MANY, reach=DENSE)):
            engine.convolve(torch.randn(len(inputs), 16), weight, inputs, inputs)
    assert engine.kept == 2
    gc.disable()
    try:
        del weight
        assert engine.kept == 0
    finally:
        gc.enable()


def test_tensors_in_any_layout_are_taken(engine):
    inputs = cells_of(60, 1)
    features, weight = torch.randn(4, len(inputs)).t(), torch.randn(6, 4, 27).permute(2, 1, 0)
    with torch.no_grad():
        wanted = TorchEngine().convolve(features.contiguous(), weight.contiguous(), inputs, inputs)
        assert_near(engine.convolve(features, weight, inputs, inputs), wanted)


def test_tensors_that_do_not_fit_are_refused(engine):
    inputs = cells_of(60, 1)
    rows, weight = torch.randn(len(inputs), 4), torch.randn(27, 4, 6)
    with torch.no_grad():
        for features, epilogue in (
            (rows[1:], None),
            (rows[:, :3], None),
            (rows, Epilogue(bias=torch.randn(5))),
            (rows, Epilogue(residual=torch.randn(len(inputs) - 1, 6))),
        ):
            with pytest.raises(ValueError, match="expected a contiguous"):
                engine.convolve(features, weight, inputs, inputs, epilogue)


def test_many_threads_may_convolve_at_once(engine):
    inputs = native(cells_of(500, 1))
    features, weight = torch.randn(len(inputs), 8), torch.randn(27, 8, 8)
    with torch.no_grad():
        wanted = engine.convolve(features, weight, inputs, inputs)
    found = []

    def work():
        with torch.no_grad():
            found.extend(engine.convolve(features, weight, inputs, inputs) for _ in range(10))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(WAIT_S)
    assert len(found) == 40
    assert all(torch.equal(out, wanted) for out in found)


@needs_library
def test_a_forked_process_convolves():
    code = (
        "import os, torch\n"
        "from dspdet3d_ros.sparse import make_engine\n"
        "from dspdet3d_ros.sparse.native.maps import NativeCoordinateSet\n"
        "torch.set_num_threads(3)\n"
        "rows = torch.arange(4000).view(1000, 4) % 50 * torch.tensor([0, 1, 1, 1])\n"
        "cells = NativeCoordinateSet.from_coordinates(rows)[0]\n"
        "engine, x, w = make_engine('native'), torch.ones(len(cells), 4), torch.ones(27, 4, 4)\n"
        "before = engine.convolve(x, w, cells, cells)\n"
        "if os.fork() == 0:\n"
        "    os._exit(0 if torch.equal(engine.convolve(x, w, cells, cells), before) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 0, result.stderr


@needs_library
def test_where_memory_is_short_it_says_so_and_the_process_lives():
    code = (
        "import resource, torch\n"
        "from dspdet3d_ros.native.library import check, load\n"
        "keys, found, rows = (torch.zeros(1 << 22, dtype=torch.int64) for _ in range(3))\n"
        "load()\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (16 << 20), resource.RLIM_INFINITY))\n"
        "try:\n"
        "    check(load().native_sort_unique(keys.data_ptr(), len(keys), found.data_ptr(), rows.data_ptr()))\n"
        "except MemoryError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "backend native: no memory for its buffers\n"


@needs_library
def test_auto_is_native_on_the_cpu_and_says_with_which_instructions(monkeypatch):
    monkeypatch.setenv(library.ISA_VARIABLE, "scalar")
    assert make_engine("auto", "cpu").name == "native"
    assert choose_backend("cpu") == ("native", "C library with scalar kernels")


@needs_library
@pytest.mark.parametrize("name", ["mmx", "neon" if "avx2" in usable() else "avx2"])
def test_instructions_that_the_processor_lacks_are_refused(monkeypatch, name):
    monkeypatch.setenv(library.ISA_VARIABLE, name)
    with pytest.raises(InputError, match=f"^DSPDET3D_NATIVE_ISA: expected one of .*scalar on this .*, got '{name}'"):
        make_engine("native")


def test_a_device_other_than_the_cpu_is_refused():
    with pytest.raises(InputError, match="backend native: it runs on the CPU, got device cuda:0; use backend auto"):
        make_engine("native", "cuda:0")


@pytest.fixture
def library_at(monkeypatch):
    def at(path):
        monkeypatch.setattr(library, "PATH", path)
        library.load.cache_clear()

    yield at
    library.load.cache_clear()


def test_without_the_library_plain_torch_runs_and_says_why(library_at, tmp_path):
    library_at(tmp_path / "absent.so")
    backend, reason = choose_backend("cpu")
    assert backend == "torch"
    assert reason == f"no C library: {library.why_not()}"
    assert make_engine("auto").name == "torch"
    with pytest.raises(InputError, match=r"^backend native: absent.so was not built .*python -m "):
        make_engine("native")


@pytest.mark.parametrize("contents", [b"", b"\x7fELF no library"])
def test_a_damaged_library_is_refused(library_at, tmp_path, contents):
    path = tmp_path / "damaged.so"
    path.write_bytes(contents)
    library_at(path)
    with pytest.raises(InputError, match=r"^backend native: .*damaged.so cannot be loaded: "):
        make_engine("native")
    assert choose_backend("cpu")[0] == "torch"


@needs_library
def test_a_library_of_other_sources_is_refused(library_at, tmp_path):
    """It is the same library, but for the digest of its sources."""
    other = tmp_path / "other.so"
    other.write_bytes(library.PATH.read_bytes().replace(build.digest().encode(), b"0" * 64))
    assert build.is_current(library.PATH)
    assert not build.is_current(other)
    library_at(other)
    with pytest.raises(InputError, match=r"other.so was compiled from other sources than those of .*; build it with"):
        make_engine("native")
    assert choose_backend("cpu")[0] == "torch"
    assert "other sources" in str(list(doctor_native()))


def test_the_digest_follows_names_and_contents_of_the_sources(tmp_path):
    (tmp_path / "a.c").write_text("int a;")
    (tmp_path / "a.c.orig").write_text("int b;")
    first = build.digest(tmp_path)
    (tmp_path / "a.c.orig").unlink()
    assert build.digest(tmp_path) == first
    (tmp_path / "a.c").rename(tmp_path / "b.c")
    renamed = build.digest(tmp_path)
    (tmp_path / "b.c").write_text("int c;")
    assert len({first, renamed, build.digest(tmp_path)}) == 3


@needs_library
def test_where_the_sources_are_not_installed_the_library_is_used(library_at, tmp_path, monkeypatch):
    monkeypatch.setattr(build.digest, "__defaults__", (tmp_path,))
    assert build.digest() == ""
    library_at(library.PATH)
    assert make_engine("native").name == "native"


def test_cmake_compiles_the_same_digest_into_the_library(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    lists = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    start, end = lists.index("  file(GLOB native_files"), lists.index("  target_compile_definitions(dspdet3d_native")
    script = f"set(PROJECT_NAME {ROOT}/dspdet3d_ros)\n{lists[start:end]}message(STATUS ${{native_digest}})\n"
    (tmp_path / "digest.cmake").write_text(
        "\n".join(line for line in script.splitlines() if "set_property" not in line).replace("CONFIGURE_DEPENDS", "")
    )
    printed = subprocess.run(["cmake", "-P", "digest.cmake"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout.split()[-1] == build.digest()


@needs_library
def test_the_library_depends_on_nothing_of_torch():
    if not os.path.isfile("/usr/bin/readelf"):
        pytest.skip("readelf is not installed (apt install binutils)")
    shown = subprocess.run(["readelf", "-d", str(library.PATH)], capture_output=True, text=True, check=True).stdout
    needed = [line.split("[")[1].rstrip("]") for line in shown.splitlines() if "NEEDED" in line]
    assert {name.split(".so")[0] for name in needed} <= {"libc", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
