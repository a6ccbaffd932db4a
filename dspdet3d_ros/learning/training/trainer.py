"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dspdet3d_ros.detector.checkpoint import load_weights, read_checkpoint, save_checkpoint, trained_model
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.errors import InputError, missing_package, text_of
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.averaging import MovingAverage
from dspdet3d_ros.learning.training.crops import CropDataset
from dspdet3d_ros.learning.training.loading import default_workers, load_batches
from dspdet3d_ros.learning.training.objective import batch_losses
from dspdet3d_ros.learning.training.precision import PRODUCT_TYPES, Precision, choose_precision
from dspdet3d_ros.learning.training.processes import Processes
from dspdet3d_ros.learning.training.rescaling import for_voxel_size
from dspdet3d_ros.learning.training.running_statistics import RunningStatistics
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.output_files import make_folder
from dspdet3d_ros.sparse import BatchNorm, Engine, training_engine
from dspdet3d_ros.system import keep_freed_memory

_SAVE_EVERY = 200
_LOG_EVERY = 10
#: So many batches without usable gradients in a row end a run: it learns nothing any more.
MOST_SKIPPED = 50


def learning_rate_factor(iteration: int, config: TrainingConfig) -> float:
    """Factor of the base learning rate at an iteration."""
    progress = iteration / config.iterations
    if config.schedule == "steps":
        return 0.1 ** ((progress >= 8 / 12) + (progress >= 11 / 12))
    warm_up = 0.03
    if progress < warm_up:
        return (progress / warm_up) * 0.95 + 0.05
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


@dataclass
class Trainer:
    """A network in training, with everything that a later process needs to continue exactly where this one stopped.

    Attributes:
        model: the network's configuration.
        config: the recipe.
        folder: where checkpoints and logs go.
        device: where it trains.
        seed: seed of the weights and of all choices of data.
        processes: that train this network together; process 0 writes the files.
        workers: processes that prepare batches for this one; by default one next to a CPU that trains, more next to a
            GPU. The batches do not depend on it.
    """

    model: ModelConfig
    config: TrainingConfig
    folder: Path
    device: torch.device
    seed: int = 0
    processes: Processes = field(default_factory=Processes)
    workers: int | None = None

    def __post_init__(self) -> None:
        keep_freed_memory()
        torch.manual_seed(self.seed)
        self.network = DSPDet3D(self.model, self.config.initial_size).to(self.device)
        if self.config.train_tau_range[1] > 0:
            # Start by keeping only what is to be kept: the first steps are then no slower than the later ones.
            for conv in self.network.head.keep_conv:
                torch.nn.init.constant_(conv.get_parameter("bias"), 1.5)
        self._optimiser = _optimiser(self.network, self.config)
        self.iteration = 0
        self._average = MovingAverage(self.network, self.config.ema_decay)
        self._skipped = 0
        self._wanted_precision = self.config.precision

    @property
    def checkpoint_path(self) -> Path:
        """The file that a run is resumed from."""
        return self.folder / "last.pth"

    @cached_property
    def precision(self) -> Precision:
        """The precision of the whole run, the same in all processes; measured when it is first needed."""
        wanted, first = self._wanted_precision, self.processes.rank == 0
        return self.processes.of_first(choose_precision(wanted, self.device, self.model.widths[0]) if first else None)

    @cached_property
    def engine(self) -> Engine:
        """The engine of the convolutions, in the run's precision."""
        return training_engine(self.device, PRODUCT_TYPES[self.precision.name])

    def resume(self) -> None:
        """Continues from the folder's last checkpoint.

        Raises:
            InputError: it does not fit this model or cannot be read.
        """
        contents = read_checkpoint(self.checkpoint_path)
        load_weights(self.network, contents["state_dict"], str(self.checkpoint_path))
        try:
            optimiser, own = contents["optimizer"], self._optimiser.param_groups[0]
            # How the steps are computed depends on the device, which may be another one now.
            ways = {name: own[name] for name in ("fused", "foreach")}
            groups = [{**group, **ways} for group in optimiser["param_groups"]]
            self._optimiser.load_state_dict({**optimiser, "param_groups": groups})
            self.iteration = int(contents["iteration"])
            self._average.load(contents.get("averaged"))
            if self.config.precision == "auto" and contents.get("precision") in PRODUCT_TYPES:
                self._wanted_precision = contents["precision"]
        except (KeyError, ValueError) as error:
            raise InputError(
                f"{self.checkpoint_path}: cannot be resumed: {text_of(error)}; start again without --resume"
            ) from error

    def start_from(self, path: Path) -> None:
        """Takes another run's weights as the start of this one.

        If they have other classes, classes of the same name keep their weights and the others start untrained. If they
        have another voxel size, they are rescaled; see `for_voxel_size`.

        Raises:
            InputError: they do not fit this model in anything else, or cannot be read.
        """
        contents = read_checkpoint(path)
        state, model = contents["state_dict"], trained_model(contents, str(path))
        if model is not None and model.classes != self.model.classes:
            state = state | self._with_classes_of(state, model.classes)
        if model is not None and model.voxel_size != self.model.voxel_size:
            state = for_voxel_size(state, model.voxel_size / self.model.voxel_size)
        load_weights(self.network, state, str(path))
        self._average.load(None)

    def _with_classes_of(self, state: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
        """The class branch for this model's classes: columns of `state` where its `names` have them, else as new."""
        branch = {}
        for key in ("head.cls_conv.kernel", "head.cls_conv.bias"):
            own = self.network.state_dict()[key].clone()
            if key in state and state[key].shape[-1] == len(names):
                for i, name in enumerate(self.model.classes):
                    if name in names:
                        own[..., i] = state[key][..., names.index(name)].to(own)
            branch[key] = own
        return branch

    def run(
        self,
        scenes: list[LabelledScene],
        stop_at: int | None = None,
        after_epoch: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Trains up to the recipe's end, or to iteration `stop_at`; saves on the way and at the end.

        Args:
            scenes: what is trained on.
            stop_at: where to pause; `resume` goes on later.
            after_epoch: called after each epoch, in every process; what it returns in process 0 is logged. It may take
                one process much longer than another.

        Raises:
            InputError: the scenes cannot be trained on, or `MOST_SKIPPED` batches in a row gave no usable gradients.
        """
        last = min(self.config.iterations, stop_at or self.config.iterations)
        epoch = math.ceil(self.config.iterations / self.config.epochs)
        first = self.processes.rank == 0
        log = _summary_writer(self.folder) if first else None
        self._train_mode()
        try:
            bar = tqdm(self._batches(scenes, last), initial=self.iteration, total=last, unit="step", disable=not first)
            for batch in bar:
                values = self.step(batch)
                if self.iteration % _LOG_EVERY == 0:
                    bar.set_postfix({name: f"{value:.3f}" for name, value in values.items()})
                    self._log(log, values)
                if self.iteration % _SAVE_EVERY == 0 or self.iteration % epoch == 0:
                    self.save()
                if after_epoch and (self.iteration % epoch == 0 or self.iteration == last):
                    self._log(log, after_epoch())
                    # Only here: in the exchange of the next step's gradients the others would wait with a timeout.
                    self.processes.wait()
        finally:
            if log:
                log.close()
        self.save()

    def _train_mode(self) -> None:
        self.network.train()
        if self.config.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, (BatchNorm, torch.nn.BatchNorm1d)):
                    module.eval()

    def _batches(self, scenes: list[LabelledScene], last: int) -> Iterator[list[TrainSample]]:
        rank, count = self.processes.rank, self.processes.count
        model, order = self.model, (self.seed, rank, count)
        data = CropDataset(
            scenes, model.classes, self.config, *order, recenter=model.recenter, voxel_size=model.voxel_size
        )
        workers = self.workers or default_workers(self.device, count)
        return load_batches(data, range(self.iteration, last), workers)

    def _log(self, log: Any, values: dict[str, float]) -> None:
        for name, value in values.items() if log else ():
            log.add_scalar(name, value, self.iteration)

    def step(self, batch: list[TrainSample]) -> dict[str, float]:
        """One optimiser step; returns the losses, the gradient norm and the learning rate.

        A batch whose losses, gradients or statistics are not finite in any of the processes is skipped in all of
        them: weights, statistics and optimiser stay as they were.

        Raises:
            InputError: it is the last of `MOST_SKIPPED` such batches in a row.
        """
        batch = [scene.to(self.device) for scene in batch]
        rate = self.config.learning_rate * learning_rate_factor(self.iteration, self.config)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        statistics = RunningStatistics(self.network)
        losses = batch_losses(self.network, batch, self.config, self.engine)
        self._optimiser.zero_grad()
        losses.total.backward()
        finite = torch.isfinite(losses.total.detach()) & statistics.finite()
        usable = self.processes.average_gradients(self.network, finite)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm, foreach=True)
        if usable and torch.isfinite(norm):
            self._optimiser.step()
            self._average.update(self.iteration)
            self._skipped = 0
        else:
            statistics.restore()
            self._optimiser.zero_grad()
            self._skipped += 1
        self.iteration += 1
        if self._skipped == MOST_SKIPPED:
            raise self._learns_nothing()
        numbers = {**vars(losses), "gradient_norm": norm}
        # One transfer: on a GPU each waits.
        values = dict(zip(numbers, torch.stack([number.detach() for number in numbers.values()]).tolist(), strict=True))
        return {**values, "learning_rate": rate, "skipped": float(self._skipped)}

    def _learns_nothing(self) -> InputError:
        fp32 = " or train with --precision fp32;" if self.precision.name == "bf16" else ""
        return InputError(
            f"training: {MOST_SKIPPED} batches in a row gave values that are not finite (iteration {self.iteration}); "
            f"lower --learning-rate,{fp32} start from other weights, or check the scenes"
        )

    def save(self) -> None:
        """Writes the checkpoint that `resume` reads."""
        if self.processes.rank > 0:
            return
        contents = {
            **self._contents(_cpu_copy(self.network.state_dict())),
            "averaged": self._average.state(),
            "optimizer": self._optimiser.state_dict(),
            "precision": self.precision.name,
        }
        save_checkpoint(self.checkpoint_path, contents)

    def weights(self, half: bool = False) -> dict[str, Any]:
        """The contents of a detector's checkpoint: averaged weights if the recipe says so; `half`: in float16."""
        state = {**_cpu_copy(self.network.state_dict()), **_cpu_copy(self._average.state())}
        if half:
            state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        return self._contents(state)

    def _contents(self, state: dict[str, Tensor]) -> dict[str, Any]:
        return {"state_dict": state, "model": self.model.to_dict(), "iteration": self.iteration}


def _optimiser(network: DSPDet3D, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW over all parameters together, not one by one: on a GPU launches take longer than the arithmetic."""

    parameters = list(network.parameters())
    make = partial(torch.optim.AdamW, parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    try:
        return make(fused=True)
    except RuntimeError:
        # torch older than 2.4 has it for CUDA only.
        return make(foreach=True)


def _cpu_copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _summary_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing_package("training logs", "tensorboard") from None
    make_folder(folder)
    return SummaryWriter(str(folder))
