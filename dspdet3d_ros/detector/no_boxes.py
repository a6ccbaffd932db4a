"""Why nothing was found in a cloud."""

from __future__ import annotations

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.result import DetectionSettings, DetectionStats

# Below this best score the network has seen nothing like what it learned.
NOTHING_ALIKE = 0.05


def why_no_boxes(
    stats: DetectionStats,
    settings: DetectionSettings,
    score: str = "score_threshold",
    tau: str = "pruning_threshold",
) -> Remark | None:
    """The reason in one line, with what to change; None if the thresholds let boxes pass.

    Args:
        stats: figures of the run without boxes.
        settings: the thresholds that applied.
        score, tau: names of the score and the pruning threshold for the user.

    Returns:
        A remark of the kind "empty" (no points), "region" (none in the region of interest), "infinite" (no finite
        point), "class" (other classes only), "pruned", "nothing" (nothing like what the model learned) or "score".
    """
    best = stats.shortlist
    if not stats.points_in:
        return Remark("empty", "the clouds have no points; check their publisher")
    if stats.points_outside_roi and not stats.points_used:
        return Remark(
            "region",
            f"all {stats.points_outside_roi} points of a cloud are outside the region of interest; change roi_min and "
            "roi_max (--roi), or empty them",
        )
    if stats.points_out_of_range and not stats.points_used:
        return Remark(
            "infinite",
            f"all {stats.points_out_of_range} finite points of a cloud are too far from the frame's origin for voxels; "
            "set recenter to true",
        )
    if not stats.points_used:
        return Remark("infinite", f"none of the {stats.points_in} points of a cloud is finite; check its publisher")
    if best.of_wanted_classes:
        return None
    if best.over_threshold:
        wanted = ", ".join(settings.class_filter)
        return Remark(
            "class",
            f"{best.over_threshold} predictions exceed {score} {settings.score_threshold:g}, but none for a "
            f"class of class_filter ({wanted}); the best one is '{best.best_class}'; extend class_filter or empty it",
        )
    emptied = next((cells.level for cells in stats.levels if cells.before and not cells.kept), None)
    if emptied and stats.pruning_threshold > 0:
        return Remark(
            "pruned",
            f"{tau} {stats.pruning_threshold:g} leaves no cell of level {emptied} to refine (best score "
            f"{best.best_score:.2g}, {score} {settings.score_threshold:g}); lower {tau}",
        )
    seen = (
        f"the best of {best.predictions} predictions is '{best.best_class}' with a score of {best.best_score:.2g}, "
        f"{score} is {settings.score_threshold:g}"
    )
    if best.best_score < NOTHING_ALIKE:
        return Remark(
            "nothing",
            f"{seen}; is the cloud in metres, z up, dense enough (a cup: twenty voxels), of objects it knows?",
        )
    return Remark("score", f"{seen}; lower {score}")
