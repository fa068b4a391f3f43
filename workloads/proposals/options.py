"""Options of object proposals; the configuration holds these, so they load without OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from workloads.options import Options
from workloads.proposals.selective_search import SearchMode

if TYPE_CHECKING:
    pass


Peak = Literal["one", "mean"]


class ProposalOptions(Options):
    """Search for proposals, and the saliency map that is made of them."""

    mode: SearchMode = Field(
        default="fast", description="settings of selective search; quality: slower, more regions"
    )
    search_side: int = Field(
        default=128, ge=16, description="longer side to which an image is scaled for it, pixels"
    )
    min_side: int = Field(default=8, ge=1, description="shortest side of a region, those pixels")
    max_regions: int = Field(default=1000, ge=1, description="regions kept per image, best first")
    map_side: int = Field(default=64, ge=1, description="side of the stored map")
    peak: Peak = Field(
        default="one",
        description="the map is the mean of the regions' masks; one: divided by its largest value",
    )
