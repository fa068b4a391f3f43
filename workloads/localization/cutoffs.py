"""Cut-offs and box rules of a model: everything between its maps and its boxes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workloads.options import Options
from workloads.space import Range, Space

DEFAULT_THRESHOLDS = 1000
"""Cut-offs k/K of a sweep."""

BoxRule = Literal["largest", "all", "tight", "regions"]
BoxScore = Literal["peak", "mean", "raw_mean", "raw_component"]
RelativeTo = Literal["range", "max", "nothing"]
Scales = Literal["each", "main", "mean"]

Cutoff = Annotated[float, Field(ge=0.0, lt=1.0)]


class Cutoffs(Options):
    """The parameters that turn stored scores and maps into boxes.

    Boxes of all scales are put together and then thinned out by `nms_iou` and `min_box_px`, in
    this order.

    Attributes:
        cutoff: pixels of the map strictly above it are foreground, in the unit of `relative_to`.
        relative_to: unit of a cut-off. "range": a share of the way from the map's minimum to its
            maximum; "max": a share of the maximum, whatever the minimum (CAM; what is negative
            is background); "nothing": the map's own unit, for maps whose values can be compared
            between images (Bency's heat), of which what lies outside of [0, 1] counts as its end.
        class_cutoffs: one cut-off for each class instead (Bency, section 3); empty: one for all.
        threshold: "fixed", or "mean": pixels at or above the mean of their map are foreground and
            no cut-off is looked at (SPN, section 4.3). A constant map has none by either.
        align_corners: bring maps to the size of the image so that the centres of their corner
            pixels meet (SPN's released code, as torch of its time), or, as everything else
            here, so that their edges do. It moves points and boxes.
        connectivity: neighbours of a pixel that make one component: 8, or 4 without those across
            a corner (SPN's code).
        scales: maps of a network at several scales. "each" gives boxes of its own; "main": the
            first alone does; "mean": the mean of all of them is cut as one map, each in the unit
            of `relative_to` before (and the mean again, with "range").
        upsample: maps are brought to the size of the image "first" and then cut, as SPN's code
            does, or "last": cut at their own size, and the boxes scaled, as SPN's paper says.
            Regions are always judged in the image.
        box_rule: "largest": one box per class, from the component with the most pixels; "all":
            one from every component; "tight": one around all foreground together (SPN); or
            "regions": that of an object proposal algorithm's boxes whose pixels exceed the
            cut-off by the largest sum (Oquab's box extents). The last two give one box per scale.
        box_score: heat of a box: what boxes of a class are ranked and suppressed by. "peak": the
            maximum of the component; "mean": the mean inside the box; both of the normalised map,
            and a factor of the class score ("peak" with box rule "all" alone). "raw_mean": the mean
            of the raw map inside the box (Bency, section 3.4); "raw_component": that over the
            foreground of the component (SPN's code). Both are a box's score themselves, in the
            map's own unit; the class score only decides whether there are boxes.
        heat_above: boxes whose heat is not above this are left out, after suppression, even if
            none is left then (0 in SPN's code); None keeps them.
        nms_iou: IoU from which suppression keeps only the hotter of two boxes of a class (0.7 in
            SPN's code); None keeps both.
        min_box_px: boxes with a side shorter than this many pixels of the image are left out,
            even if none is left then (50 in SPN's code, whose sides are a pixel shorter).
        alpha: weight of the co-occurrence rescoring, 0 turns it off.
        score_threshold: classes with a rescored score of at least this get boxes.
    """

    cutoff: Cutoff = 0.3
    class_cutoffs: tuple[Cutoff, ...] = ()
    threshold: Literal["fixed", "mean"] = "fixed"
    scales: Scales = "each"
    upsample: Literal["first", "last"] = "first"
    relative_to: RelativeTo = "range"
    align_corners: bool = False
    connectivity: Literal[4, 8] = 8
    box_rule: BoxRule = "largest"
    box_score: BoxScore = "peak"
    heat_above: float | None = None
    nms_iou: float | None = Field(default=None, gt=0.0, le=1.0)
    min_box_px: float = Field(default=0.0, ge=0.0)
    alpha: float = Field(default=0.0, ge=0.0)
    score_threshold: float = Field(default=0.5, ge=0.0)

    @property
    def weighs_heat(self) -> bool:
        """Whether the boxes of a class differ in score, by their heat."""
        return self.box_rule == "all" or self.box_score != "peak"

    @property
    def scores_are_heat(self) -> bool:
        """Whether a box's heat is its score, and not a factor of the class score."""
        return self.box_score in ("raw_mean", "raw_component")

    @property
    def thins_out(self) -> bool:
        """Whether boxes of a map may be left out again."""
        return self.nms_iou is not None or self.min_box_px > 0 or self.heat_above is not None

    def cutoff_of(self, label: int) -> float:
        """The cut-off of one class."""
        return self.class_cutoffs[label] if self.class_cutoffs else self.cutoff


CUTOFFS_SPACE = Space(
    {
        "cutoff": Range(0.05, 0.8),
        "alpha": Range(0.0, 0.5),
        "score_threshold": Range(0.05, 0.95),
    }
)
"""Cut-offs that every search on stored scores and maps tries, for every method."""

FOUND_EXACTLY = frozenset({"cutoff", "class_cutoffs", "alpha", "score_threshold"})
"""Cut-offs of which the search values all; of the others it tries what it is told to."""
