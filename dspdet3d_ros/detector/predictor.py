"""The detector as a function from points to boxes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros import defaults
from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.best_cells import best_cells, best_of_views
from dspdet3d_ros.detector.fitted_faces import fitted
from dspdet3d_ros.detector.head import LEVELS, LevelOutput
from dspdet3d_ros.detector.loaded_model import LoadedModel, choose_device, load_model
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.postprocess import Selection, network_threshold, select_boxes
from dspdet3d_ros.detector.preprocess import UsablePoints, limit_voxels, usable_points, voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning
from dspdet3d_ros.detector.result import Detections, DetectionSettings, DetectionStats, LevelCells
from dspdet3d_ros.detector.stopwatch import Stopwatch
from dspdet3d_ros.detector.turned_views import View
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import Engine, folded, make_engine
from dspdet3d_ros.system import return_freed_memory

WARM_UP_POINTS = 200_000
WARM_UP_CELLS = 40_000


class Detector:
    """A model on a device.

    Args:
        model: network and weights; the detector computes with a folded copy of the network and leaves it as it is.
        engine: computes its convolutions.
        device: of the network.
        max_points: clouds with more points are thinned to this number.
        max_voxels: clouds that fill more voxels are thinned to this number.
        recenter: give the network heights above the ground, and positions relative to the middle of the cloud, as in
            training; the model's own setting if not given.
    """

    def __init__(
        self,
        model: LoadedModel,
        engine: Engine,
        device: torch.device,
        max_points: int = defaults.MAX_POINTS,
        max_voxels: int = defaults.MAX_VOXELS,
        recenter: bool | None = None,
    ) -> None:
        self.config = model.config
        self.model_name = model.name
        self.checkpoint_sha256 = model.sha256
        self.max_points = max_points
        self.max_voxels = max_voxels
        self.recenter = model.config.recenter if recenter is None else recenter
        self._network = folded(model.network, engine.storage).to(device)
        self._engine = engine
        self._device = device

    @classmethod
    def load(
        cls,
        model: str = defaults.MODEL,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        backend: str = "auto",
        max_points: int = defaults.MAX_POINTS,
        max_voxels: int = defaults.MAX_VOXELS,
        recenter: bool | None = None,
        precision: str = "auto",
    ) -> Detector:
        """Loads a model.

        Args:
            model: name of a model that comes with the package, or a model file's path.
            checkpoint: weight file; the model's own when not given. A checkpoint that contains its model is used with
                the classes and widths of that model. An original checkpoint is used with the given model, or, if that
                is left at its default, with the one that `released_config` finds.
            device: "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:n".
            backend: the sparse engine, one of `defaults.BACKENDS`; see `make_engine`.
            max_points, max_voxels: see `Detector`.
            recenter: see `Detector`; the model's own setting when not given.
            precision: "auto", "fp16" or "fp32"; see `make_engine`.

        Raises:
            InputError: the model, the checkpoint, the device or the backend cannot be used.
        """
        for name, limit in (("max_points", max_points), ("max_voxels", max_voxels)):
            if limit < 1:
                raise InputError(f"{name}: expected at least 1, got {limit}")
        target = choose_device(device)
        engine = make_engine(backend, target, precision)
        detector = cls(load_model(model, checkpoint), engine, target, max_points, max_voxels, recenter)
        # Weight file, network as loaded and its folded copy: only the last one is still there.
        return_freed_memory()
        return detector

    @property
    def class_names(self) -> tuple[str, ...]:
        """All classes that the model knows."""
        return self.config.classes

    @property
    def device(self) -> str:
        """ "cpu" or "cuda:n"."""
        return str(self._device)

    @property
    def backend(self) -> str:
        """Name of the sparse engine."""
        return self._engine.name

    @property
    def network(self) -> DSPDet3D:
        """The network that computes, a copy with folded batch norms (see `sparse.folded`): a change of it counts."""
        return self._network

    @property
    def engine(self) -> Engine:
        """The engine that computes the network's convolutions."""
        return self._engine

    def warm_up(self) -> None:
        """Runs a synthetic room once on a GPU, so that kernels are compiled and tuned before the first real cloud.

        It does nothing on the CPU.
        """
        if self._device.type == "cuda":
            # Without pruning, so that the finer levels run whatever the weights are.
            everything = replace(self.default_settings(), pruning_threshold=0.0, max_cells_per_level=WARM_UP_CELLS)
            self(synthetic_room(WARM_UP_POINTS), everything)

    def default_settings(self) -> DetectionSettings:
        """The thresholds of the model."""
        c = self.config
        return DetectionSettings(c.pruning_threshold, c.score_threshold, c.nms_iou_threshold, views=c.views)

    def on(self, engine: Engine) -> Detector:
        """The same model, weights and limits, with another engine that computes on the same device."""
        other = copy.copy(self)
        other._engine = engine
        return other

    def __call__(
        self,
        cloud: PointCloud | np.ndarray,
        settings: DetectionSettings | None = None,
        lap: Callable[[str], None] = lambda _: None,
    ) -> Detections:
        """Finds boxes in a cloud.

        Args:
            cloud: in metres, gravity along -z; an (N, 3) array is checked as `PointCloud.of` does. Points too far from
                most others to have voxel numbers (2.6 km at 1 cm) are left out.
            settings: thresholds; the model's own when not given.
            lap: called with the name of a stage at its end; the time that it takes counts.

        Returns:
            The boxes, in the frame of the cloud.

        Raises:
            InputError: an array is not an (N, 3) array of numbers.
        """
        settings = settings or self.default_settings()
        cloud = cloud if isinstance(cloud, PointCloud) else PointCloud.of(cloud)
        watch = Stopwatch(self._device, lap)
        points = usable_points(cloud.xyz, self._device, self.config.voxel_size, self.max_points, self.recenter)
        watch.lap("points")
        seen = self._look(points, settings, watch)
        found = self._select(seen, points, settings)
        watch.lap("postprocess")
        stats = DetectionStats(
            pruning_threshold=settings.pruning_threshold,
            points_in=cloud.points_in,
            points_used=len(points.xyz),
            points_out_of_range=points.out_of_range,
            points_outside_roi=cloud.outside,
            voxels=seen.voxels,
            levels=seen.levels,
            stage_ms=watch.laps_ms,
            total_ms=watch.total_ms,
            device=self.device,
            backend=self.backend,
            not_finite=seen.not_finite,
            shortlist=found.shortlist,
        )
        boxes = found.boxes.numpy().astype(np.float64) + np.concatenate([points.origin, np.zeros(3)])
        class_scores = None if found.class_scores is None else found.class_scores.numpy()
        return Detections(boxes, found.scores.numpy(), found.labels.numpy(), self.class_names, stats, class_scores)

    def _look(self, points: UsablePoints, settings: DetectionSettings, watch: Stopwatch) -> _Seen:
        """The candidates of all views."""
        looks: list[_Seen] = []
        with torch.inference_mode():
            for number in range(settings.views if len(points.xyz) else 0):
                if looks:
                    looks[-1] = replace(looks[-1], held=())
                looks.append(self._look_at(View.numbered(number), points, settings, watch))
        if not looks:
            nothing = torch.empty(0, 6), torch.empty(0, len(self.class_names))
            return _Seen(0, _level_cells([]), *nothing, 0)
        boxes, scores = best_of_views([look.boxes for look in looks], [look.scores for look in looks], self.config)
        levels = _sums([look.levels for look in looks])
        not_finite = sum(look.not_finite for look in looks)
        return _Seen(looks[0].voxels, levels, boxes, scores, not_finite, looks[-1].held)

    def _look_at(self, view: View, points: UsablePoints, settings: DetectionSettings, watch: Stopwatch) -> _Seen:
        """The candidates of one view."""
        size = self.config.voxel_size
        voxels = voxelise(
            view.points(points.xyz, size),
            size,
            self._engine,
            relative_xy=self.config.relative_xy,
            above_ground=self.recenter,
        )
        voxels = limit_voxels(voxels, self.max_voxels, view.anchor(points.anchor))
        watch.lap("voxelise")
        pruning = ThresholdPruning(settings.pruning_threshold, settings.max_cells_per_level)
        outputs = self._network(voxels, pruning, watch.lap)
        boxes, scores, not_finite = best_cells(outputs, self.config, network_threshold(settings, self.config))
        boxes = view.boxes_back(boxes, size)
        watch.lap("postprocess")
        return _Seen(len(voxels), _level_cells(outputs), boxes, scores, not_finite, (voxels, outputs))

    def _select(self, seen: _Seen, points: UsablePoints, settings: DetectionSettings) -> Selection:
        """The boxes selected from the candidates, from the origin of the grid."""
        with torch.inference_mode():
            found = select_boxes(seen.boxes, seen.scores, settings, self.config)
            if self.config.fit_faces:
                found = replace(found, boxes=fitted(found.boxes, points.xyz, self.config.voxel_size))
        return found


@dataclass(frozen=True)
class _Seen:
    """Predictions of the network for a cloud.

    Attributes:
        voxels: number of voxels.
        levels: the cells of each level.
        boxes: (N, 6) candidates from the origin of the grid, metres, best first.
        scores: (N, n_classes) their scores.
        not_finite: number of predictions that were left out.
        held: voxels and outputs of the last view: it takes milliseconds to free them, which is no part of any stage.
    """

    voxels: int
    levels: tuple[LevelCells, ...]
    boxes: Tensor
    scores: Tensor
    not_finite: int
    held: tuple[object, ...] = ()


def _level_cells(outputs: Sequence[LevelOutput]) -> tuple[LevelCells, ...]:
    """All levels, coarse to fine; those that pruning emptied have zeros."""
    cells = {o.level: LevelCells(o.level, len(o.coords), o.kept, o.dropped) for o in outputs}
    return tuple(cells.get(level, LevelCells(level, 0, 0)) for level in reversed(range(LEVELS)))


def _sums(views: Sequence[tuple[LevelCells, ...]]) -> tuple[LevelCells, ...]:
    """The cells of each level, over all views."""
    return tuple(
        LevelCells(
            same[0].level,
            before=sum(cells.before for cells in same),
            kept=sum(cells.kept for cells in same),
            dropped=sum(cells.dropped for cells in same),
        )
        for same in zip(*views, strict=True)
    )


def synthetic_room(count: int) -> np.ndarray:
    """(count, 3) float32 points, the same each time, on the floor, two walls and a table of a 5 × 4 m room."""
    generator = np.random.default_rng(0)
    points = generator.uniform((0, 0, 0), (5, 4, 2.5), (count, 3))
    floor, wall, side, table = np.array_split(np.arange(count), 4)
    points[floor, 2] = 0
    points[wall, 0] = 0
    points[side, 1] = 0
    points[table] = points[table] * (0.3, 0.25, 0) + (2, 1.5, 0.75)
    return points.astype(np.float32)
