"""The Triton kernels. Row counts are never specialised: a cloud of another size needs no compilation."""

import triton
import triton.language as tl

#: Entries kept for each tile in the list of its active offsets; offsets are bits of an int32.
LIST_LENGTH = 32
#: The mask of columns without an output row: above all others, so that sorting puts them last.
NO_ROW = tl.constexpr(1 << 27)


@triton.jit(do_not_specialize=["n_in", "n_out", "n_table", "steps", "step", "tag", "unit_x", "unit_y", "unit_z"])
def find_neighbours(
    in_keys,
    out_keys,
    table,
    masks,
    n_in,
    n_out,
    n_table,
    steps,
    step,
    tag,
    unit_x,
    unit_y,
    unit_z,
    VOLUME: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Writes for every output row the input row under each offset, and which offsets have one.

    Keys are sorted and z is their lowest digit, so the three z-neighbours of a place follow each other: 9 binary
    searches, side by side, answer 27 questions.

    Args:
        in_keys, out_keys: (n_in,), (n_out,) int64.
        table: (VOLUME, n_table) int32, written; `n_in` where there is no input row, and in all columns from `n_out` on.
        masks: (n_table,) int32, written; bit k says that offset k has an input row; `NO_ROW` from `n_out` on.
        n_table: number of columns, `n_out` or more.
        steps: at least the number of bits of `n_in`.
        step: the kernel's step in voxels, negative for generative convolutions.
        tag: added to the masks, a multiple of 2 · `NO_ROW`: masks of several maps can be sorted together.
        unit_x, unit_y, unit_z: difference of the keys of neighbours along an axis.
        VOLUME: 27 or 1.
        COLUMNS: power of two that holds the searches, 16 or 1.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < n_out
    column = tl.arange(0, COLUMNS)
    key = tl.load(out_keys + row, mask=inside, other=0)[:, None] + (column * 0)[None, :]
    DEPTH: tl.constexpr = 3 if VOLUME == 27 else 1
    asked = column < VOLUME // DEPTH
    used = inside[:, None] & asked[None, :]
    size = tl.abs(step)
    if VOLUME == 27:
        plane = step * ((column % 3 - 1) * unit_x + (column // 3 - 1) * unit_y) - size * unit_z
        key += plane[None, :]
    low = tl.zeros((ROWS, COLUMNS), tl.int32)
    high = low + n_in
    for _ in range(steps):
        middle = (low + high) // 2
        less = tl.load(in_keys + middle, mask=used & (low < high), other=0) < key
        less = less & (low < high)
        low = tl.where(less, middle + 1, low)
        high = tl.where(less, high, middle)
    mask = tl.zeros((ROWS,), tl.int32)
    for z in tl.static_range(DEPTH):
        found = tl.load(in_keys + low, mask=used & (low < n_in), other=0)
        hit = used & (low < n_in) & (found == key)
        # A negative step runs through the z-neighbours in the opposite order.
        offset = column + 9 * tl.where(step > 0, z, DEPTH - 1 - z)
        place = offset[None, :].to(tl.int64) * n_table + row[:, None]
        tl.store(table + place, tl.where(hit, low, n_in), mask=(row < n_table)[:, None] & asked[None, :])
        mask += tl.sum(tl.where(hit, 1 << offset[None, :], 0), 1)
        low += hit.to(tl.int32)
        key += size * unit_z
    tl.store(masks + row, tl.where(inside, mask, NO_ROW) + tag, mask=row < n_table)


@triton.jit
def _either(a, b):
    return a | b


@triton.jit(do_not_specialize=["first", "volume"])
def list_offsets(masks, offsets, counts, first, volume, TILE: tl.constexpr, LIST: tl.constexpr):
    """Writes for each tile of rows which offsets any of them has.

    Args:
        masks: (tiles · TILE,) int32.
        first, volume: the bits of the masks that count: `volume` of them from bit `first` on, which becomes offset 0.
        offsets: (tiles, LIST) int32, written; only the first `counts` of a row.
        counts: (tiles,) int32, written.
    """
    tile = tl.program_id(0)
    mask = tl.reduce(tl.load(masks + tile * TILE + tl.arange(0, TILE)), 0, _either)
    offset = tl.arange(0, LIST)
    active = (mask >> first >> offset & 1) * (offset < volume)
    place = tl.cumsum(active, 0) - 1
    tl.store(offsets + tile * LIST + place, offset, mask=active > 0)
    tl.store(counts + tile, tl.sum(active, 0))


@triton.jit(do_not_specialize=["n_in", "n_out", "n_table", "ordered", "base", "has_bias", "has_residual", "relu"])
def masked_gemm(
    features,
    weight,
    table,
    rows,
    offsets,
    counts,
    bias,
    residual,
    out,
    n_in,
    n_out,
    n_table,
    ordered,
    base,
    has_bias,
    has_residual,
    relu,
    C_IN: tl.constexpr,
    C_OUT: tl.constexpr,
    LIST: tl.constexpr,
    WIDE: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_OUT: tl.constexpr,
    BLOCK_IN: tl.constexpr,
):
    """One tile of output rows and channels of a sparse convolution: implicit GEMM over the tile's active offsets.

    Sums are float32 whatever the operands are; float32 operands are multiplied as such, never as TF32.

    Args:
        features: (n_in, C_IN).
        weight: (K, C_IN, C_OUT), of the features' type.
        table: (K, n_table) int32; `n_in` where there is no input row.
        rows: (n_table,) int64: the output rows, which are columns of the table, in the order of the tiles; `n_out` or
            more in what fills the last tile. Read where `ordered` is not 0; otherwise they are 0, 1, 2, ….
        base: what they are too large by.
        offsets, counts: of the tiles, see `list_offsets`.
        bias: (C_OUT,) float32; residual: (n_out, C_OUT); read where has_bias and has_residual are not 0.
        has_bias, has_residual, relu: 0 or 1, at run time: a choice of tiles is compiled once for all of them.
        out: (n_out, C_OUT), written, every row once.
        WIDE: places in `features` and `out` do not fit an int32.
    """
    column_tiles: tl.constexpr = (C_OUT + BLOCK_OUT - 1) // BLOCK_OUT
    chunks: tl.constexpr = (C_IN + BLOCK_IN - 1) // BLOCK_IN
    tile = tl.program_id(0) // column_tiles
    row = tile * TILE + tl.arange(0, TILE)
    if ordered != 0:
        row = (tl.load(rows + row) - base).to(tl.int32)
    c_out = tl.program_id(0) % column_tiles * BLOCK_OUT + tl.arange(0, BLOCK_OUT)
    sums = tl.zeros((TILE, BLOCK_OUT), tl.float32)
    # One flat loop over offsets and channels: the loads of the next steps are under way while this one multiplies.
    for step in range(tl.load(counts + tile) * chunks):
        offset = tl.load(offsets + tile * LIST + step // chunks)
        c_in = step % chunks * BLOCK_IN + tl.arange(0, BLOCK_IN)
        source = tl.load(table + offset * n_table + row)
        there = source < n_in
        if WIDE:
            source = source.to(tl.int64)
        a = tl.load(
            features + source[:, None] * C_IN + c_in[None, :], mask=there[:, None] & (c_in < C_IN)[None, :], other=0.0
        )
        b = tl.load(
            weight + (offset * C_IN + c_in[:, None]) * C_OUT + c_out[None, :],
            mask=(c_in < C_IN)[:, None] & (c_out < C_OUT)[None, :],
            other=0.0,
        )
        sums = tl.dot(a, b, sums, input_precision="ieee")
    kept = (row < n_out)[:, None] & (c_out < C_OUT)[None, :]
    if WIDE:
        row = row.to(tl.int64)
    place = row[:, None] * C_OUT + c_out[None, :]
    if has_bias != 0:
        sums += tl.load(bias + c_out, mask=c_out < C_OUT, other=0.0)[None, :]
    if has_residual != 0:
        sums += tl.load(residual + place, mask=kept, other=0.0).to(tl.float32)
    if relu != 0:
        sums = tl.maximum(sums, 0.0)
    tl.store(out + place, sums.to(out.dtype.element_ty), mask=kept)
