"""Checkpoints of the original code (mmdet3d): missing settings are derived from the shapes of their tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from dspdet3d_ros.detector.checkpoint import load_weights, read_checkpoint, save_checkpoint, sha256
from dspdet3d_ros.detector.config import ModelConfig, load_model_config, model_names
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.errors import InputError

#: Residual blocks of the backbone by its depth; the original knows no others of this kind of block.
RESNET_BLOCKS = {14: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@dataclass(frozen=True)
class _Architecture:
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    head_width: int
    n_classes: int


def released_config(contents: Mapping[str, Any], source: str, model: str | None = None) -> tuple[ModelConfig, str]:
    """Origin of an original checkpoint.

    Widths, depth and number of classes are those of the tensors. Class names come from `meta` where it has as many
    `CLASSES`, else from the named model, else from the model of the package that has this shape. Thresholds come from
    the named model, else from the model of the package with these classes. The voxel size is the named model's, else
    the one in the configuration text that `meta` holds.

    Args:
        contents: the checkpoint.
        source: its name in messages.
        model: name or path of a model file, or None.

    Returns:
        The configuration and the name of the model that it was taken from.

    Raises:
        InputError: tensors that show the shape are missing, no source has class names for it, or the named model has
            another number of classes.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in contents["state_dict"].items()}
    meta = contents.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    architecture = _architecture(state, source)
    names = _meta_classes(meta, architecture.n_classes)
    base, base_name = _base(architecture, names, source, model)
    try:
        config = replace(
            base,
            classes=names or base.classes,
            voxel_size=base.voxel_size if model else _meta_voxel_size(meta) or base.voxel_size,
            widths=architecture.widths,
            blocks=architecture.blocks,
            head_width=architecture.head_width,
            weights=None,
        )
    except InputError as error:
        raise InputError(f"checkpoint {source}: {error}") from error
    return config, base_name


@dataclass(frozen=True)
class Conversion:
    """Report of `convert`.

    Attributes:
        config: the model.
        model_name: the model file that thresholds, and names unless the checkpoint has its own, were taken from.
        sha256: of the original file.
        parameters: number of weights.
    """

    config: ModelConfig
    model_name: str
    sha256: str
    parameters: int


def convert(source: Path, target: Path, model: str | None = None) -> Conversion:
    """Turns an original checkpoint into one of ours: weights, configuration and where they came from.

    Args:
        source: the original file.
        target: file to write; it is complete or absent.
        model: name or path of a model file, if the checkpoint does not contain enough.

    Raises:
        InputError: the file cannot be used (see `read_checkpoint`, `released_config`, `load_weights`), it is ours
            already, or the target cannot be written.
    """
    contents = read_checkpoint(source)
    if "model" in contents:
        raise InputError(f"checkpoint {source}: is in this project's format already; use it as it is")
    if target.exists() and target.samefile(source):
        raise InputError(f"{target}: is the file to convert; name another one to write")
    config, model_name = released_config(contents, str(source), model)
    network = DSPDet3D(config)
    load_weights(network, contents["state_dict"], str(source))
    digest = sha256(source)
    origin = {"model_name": model_name, "source": source.name, "source_sha256": digest}
    save_checkpoint(target, {"state_dict": network.state_dict(), "model": config.to_dict(), **origin})
    return Conversion(config, model_name, digest, sum(p.numel() for p in network.parameters()))


def _architecture(state: Mapping[str, Tensor], source: str) -> _Architecture:
    kernels = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.ndim >= 2}
    # One tensor of a wrong shape must not decide: the widths are those of most tensors of a level.
    fine, middle, coarse, coarsest = (
        _most_common(
            kernels, rf"backbone\.layer{i + 1}\.\d+\.conv\d\.kernel|head\.lateral_block_{i}\.0\.kernel", source
        )
        for i in range(4)
    )
    return _Architecture(
        (fine, middle, coarse, coarsest),
        _blocks(state),
        _most_common(kernels, r"head\.out_block_\d\.0\.kernel", source),
        _most_common(kernels, r"head\.cls_conv\.(kernel|bias)", source),
    )


def _most_common(kernels: Mapping[str, tuple[int, ...]], pattern: str, source: str) -> int:
    """Output channels that most tensors of a matching name have."""
    channels = Counter(shape[-1] for name, shape in kernels.items() if re.fullmatch(pattern, name))
    if not channels:
        some = ", ".join([*kernels][:3]) or "none"
        wanted = pattern.split("|")[0].replace("\\.", ".").replace("\\d+", "*").replace("\\d", "*")
        raise InputError(
            f"checkpoint {source}: expected tensors of DSPDet3D, such as {wanted}, found {some}; name another file"
        )
    return channels.most_common(1)[0][0]


def _blocks(state: Mapping[str, Tensor]) -> tuple[int, int, int, int]:
    """Blocks of the least deep backbone that has all these tensors, so that a missing block is noticed."""
    found = [0, 0, 0, 0]
    for name in state:
        if match := re.match(r"backbone\.layer([1-4])\.(\d+)\.", name):
            stage, block = int(match[1]) - 1, int(match[2])
            found[stage] = max(found[stage], block + 1)
    fitting = (blocks for blocks in RESNET_BLOCKS.values() if all(n <= m for n, m in zip(found, blocks, strict=True)))
    return next(fitting, RESNET_BLOCKS[34])


def _meta_classes(meta: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    classes = meta.get("CLASSES")
    classes = (classes,) if isinstance(classes, str) else classes
    if not isinstance(classes, (list, tuple)) or len(classes) != count:
        return None
    return tuple(classes) if all(isinstance(name, str) for name in classes) else None


def _meta_voxel_size(meta: Mapping[str, Any]) -> float | None:
    """The voxel size in the configuration text, if it names exactly one."""
    text = meta.get("config")
    if not isinstance(text, str):
        return None
    sizes = {float(size) for size in re.findall(r"\bvoxel_size\s*=\s*(\d*\.\d+)", text)}
    return sizes.pop() if len(sizes) == 1 else None


def _base(
    architecture: _Architecture, names: tuple[str, ...] | None, source: str, model: str | None
) -> tuple[ModelConfig, str]:
    """The model file that completes a checkpoint, and its name."""
    count = architecture.n_classes
    if model is not None:
        config = load_model_config(model)
        if len(config.classes) != count:
            raise InputError(
                f"checkpoint {source}: has {count} classes, but model {model} has {len(config.classes)}; "
                "name another model"
            )
        return config, model
    packaged = {name: load_model_config(name) for name in model_names()}
    for name, config in packaged.items():
        same = (config.widths, config.blocks, config.head_width) == (
            architecture.widths,
            architecture.blocks,
            architecture.head_width,
        )
        if config.classes == names or (len(config.classes) == count and (same if names is None else count == 1)):
            return config, name
    if names is None:
        raise InputError(
            f"checkpoint {source}: has {count} classes and names none of them; name a model file with {count} classes"
        )
    return ModelConfig(classes=names), Path(source).stem
