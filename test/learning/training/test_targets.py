import torch

from dspdet3d_ros.learning.training.targets import SceneBoxes, assign_boxes, box_levels, cell_size, keep_mask
from dspdet3d_ros.sparse import CoordinateSet

S = 0.01


def lattice(size):
    """(size³, 3) places of cells, in cells."""
    axis = torch.arange(size)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), 3).reshape(-1, 3)


def cells_at(places, level):
    """The cells of one scene at places that ascend."""
    stride = 4 * 2**level
    none = places.new_zeros(len(places), 1)
    return CoordinateSet.from_coordinates(torch.cat([none, places * stride], 1), stride)[0]


def cube(x, y, z, edge):
    return [x, y, z, edge, edge, edge]


def test_level_follows_the_volume_and_bounds_are_exclusive():
    # A box of volume 27·(s·2^k)³ has edges of 3·s·2^k.
    edges = torch.tensor([0.05, 0.2399, 0.2401, 0.4799, 0.4801, 0.9599, 0.9601, 3.0])
    boxes = torch.tensor([cube(0, 0, 0, float(e)) for e in edges])
    assert box_levels(boxes, S).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_cells_double_from_level_to_level():
    assert [round(cell_size(level, S), 4) for level in range(4)] == [0.04, 0.08, 0.16, 0.32]


def assigned(places, boxes, levels, level=0):
    boxes = SceneBoxes(boxes, torch.zeros(len(boxes), dtype=torch.int64), levels)
    return assign_boxes([(level, cells_at(places, level))], boxes, S, 7, 6)


def kept(places, boxes, levels, level):
    boxes = SceneBoxes(boxes, torch.zeros(len(boxes), dtype=torch.int64), levels)
    return keep_mask(cells_at(places, level), boxes, level, S, 7)


def test_the_nearest_cells_learn_a_box():
    places = lattice(8)
    center = torch.tensor([0.121, 0.125, 0.133])
    box = assigned(places, torch.tensor([[*center.tolist(), 0.1, 0.1, 0.1]]), torch.tensor([0]))
    nearest = (places * 0.04 - center).square().sum(1).argsort()[:6]
    assert sorted((box == 0).nonzero()[:, 0].tolist()) == sorted(nearest.tolist())


def test_cells_outside_the_cube_do_not_learn_a_box():
    places = torch.tensor([[-4, 0, 0], [-3, 0, 0], [3, 0, 0], [4, 0, 0]])
    assert assigned(places, torch.tensor([cube(0, 0, 0, 0.1)]), torch.tensor([0])).tolist() == [-1, 0, 0, -1]


def test_a_cell_belongs_to_the_nearest_of_all_boxes_or_to_none():
    places = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    boxes = torch.tensor([cube(0.0, 0, 0, 0.1), cube(0.09, 0, 0, 0.1)])
    assert assigned(places, boxes, torch.tensor([0, 0])).tolist() == [0, 0, 1]
    # The second box is of another level: the cell nearest to it learns nothing here.
    assert assigned(places, boxes, torch.tensor([0, 1])).tolist() == [0, 0, -1]


def test_cells_at_the_same_distance_as_one_too_many_learn_nothing():
    places = lattice(2)
    assert assigned(places, torch.tensor([cube(0.02, 0.02, 0.02, 0.1)]), torch.tensor([0])).tolist() == [-1] * 8
    assert assigned(places[:6], torch.tensor([cube(0.02, 0.02, 0.02, 0.1)]), torch.tensor([0])).tolist() == [0] * 6


def test_a_box_is_learned_in_its_own_scene_only():
    places = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    cells = CoordinateSet.from_coordinates(places * torch.tensor([1, 4, 4, 4]), 4)[0]
    boxes = torch.tensor([cube(0.0, 0, 0, 0.1), cube(0.05, 0, 0, 0.1)])
    for scenes, wanted in (([0, 1], [0, 0, 1, 1]), ([1, 1], [-1, -1, 0, 1])):
        of_scenes = SceneBoxes(boxes, torch.tensor(scenes), torch.tensor([0, 0]))
        assert assign_boxes([(0, cells)], of_scenes, S, 7, 6).tolist() == wanted
        assert keep_mask(cells, of_scenes, 1, S, 7).tolist() == [row >= 0 for row in wanted]


def test_without_boxes_or_cells_nothing_is_learned():
    nobody = torch.empty(0, 6), torch.empty(0, dtype=torch.int64)
    assert assigned(lattice(2), *nobody).tolist() == [-1] * 8
    assert (
        assigned(torch.empty(0, 3, dtype=torch.int64), torch.tensor([cube(0, 0, 0, 0.1)]), torch.tensor([0])).tolist()
        == []
    )
    assert not kept(lattice(2), *nobody, 1).any()


def test_a_box_beyond_all_cells_is_no_cells():
    for far in (1e5, 1e30, float("nan")):
        assert assigned(lattice(2), torch.tensor([cube(far, 0, 0, 0.1)]), torch.tensor([0])).tolist() == [-1] * 8


def test_cells_near_a_box_of_a_finer_level_are_kept():
    places = torch.tensor([[0, 0, 0], [3, 0, 0], [4, 0, 0], [12, 0, 0]])
    boxes = torch.tensor([cube(0, 0, 0, 0.1), cube(0.96, 0, 0, 0.3)])
    assert kept(places, boxes, torch.tensor([0, 1]), 1).tolist() == [True, True, False, False]
    assert kept(places, boxes * torch.tensor([2, 2, 2, 1, 1, 1]), torch.tensor([0, 1]), 2).tolist() == [
        True,
        True,
        False,
        True,
    ]
