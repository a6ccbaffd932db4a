import torch

from dspdet3d_ros.learning.training.targets import assign_boxes, box_levels, cell_size, keep_mask

S = 0.01


def lattice(size, edge):
    axis = torch.arange(size) * edge
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), 3).reshape(-1, 3)


def cube(x, y, z, edge):
    return [x, y, z, edge, edge, edge]


def test_level_follows_the_volume_and_bounds_are_exclusive():
    # A box of volume 27·(s·2^k)³ has edges of 3·s·2^k.
    edges = torch.tensor([0.05, 0.2399, 0.2401, 0.4799, 0.4801, 0.9599, 0.9601, 3.0])
    boxes = torch.tensor([cube(0, 0, 0, float(e)) for e in edges])
    assert box_levels(boxes, S).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_cells_double_from_level_to_level():
    assert [round(cell_size(level, S), 4) for level in range(4)] == [0.04, 0.08, 0.16, 0.32]


def test_the_nearest_cells_learn_a_box():
    cells = lattice(8, 0.04)
    center = torch.tensor([0.121, 0.125, 0.133])
    box = assign_boxes(cells, torch.tensor([[*center.tolist(), 0.1, 0.1, 0.1]]), torch.tensor([True]), 0.28, 6)
    nearest = (cells - center).square().sum(1).argsort()[:6]
    assert sorted((box == 0).nonzero()[:, 0].tolist()) == sorted(nearest.tolist())


def test_cells_outside_the_cube_do_not_learn_a_box():
    cells = torch.tensor([[0.0, 0, 0], [0.15, 0, 0]])
    assert assign_boxes(cells, torch.tensor([cube(0, 0, 0, 0.1)]), torch.tensor([True]), 0.28, 6).tolist() == [0, -1]


def test_a_cell_belongs_to_the_nearest_of_all_boxes_or_to_none():
    cells = torch.tensor([[0.0, 0, 0], [0.04, 0, 0], [0.08, 0, 0]])
    boxes = torch.tensor([cube(0.0, 0, 0, 0.1), cube(0.09, 0, 0, 0.1)])
    both, first = torch.tensor([True, True]), torch.tensor([True, False])
    assert assign_boxes(cells, boxes, both, 0.28, 6).tolist() == [0, 0, 1]
    # The second box is of another level: the cell nearest to it learns nothing here.
    assert assign_boxes(cells, boxes, first, 0.28, 6).tolist() == [0, 0, -1]


def test_without_boxes_or_cells_nothing_is_learned():
    nobody = torch.empty(0, 6), torch.empty(0, dtype=torch.bool)
    assert assign_boxes(lattice(2, 0.04), *nobody, 0.28, 6).tolist() == [-1] * 8
    box = torch.tensor([cube(0, 0, 0, 0.1)]), torch.tensor([True])
    assert assign_boxes(torch.empty(0, 3), *box, 0.28, 6).tolist() == []
    assert not keep_mask(lattice(2, 0.04), nobody[0], torch.empty(0), 1, 0.5).any()


def test_cells_near_a_box_of_a_finer_level_are_kept():
    cells = torch.tensor([[0.0, 0, 0], [0.27, 0, 0], [0.29, 0, 0], [1.0, 0, 0]])
    boxes = torch.tensor([cube(0, 0, 0, 0.1), cube(1.0, 0, 0, 0.3)])
    assert keep_mask(cells, boxes, torch.tensor([0, 1]), 1, 7 * 0.08).tolist() == [True, True, False, False]
    assert keep_mask(cells, boxes, torch.tensor([0, 1]), 2, 7 * 0.08).tolist() == [True, True, False, True]
