"""Options of annotation; the configuration holds these, so they load quickly."""

from __future__ import annotations

from pydantic import Field

from workloads.options import Options


class Kept(Options):
    """Choice of what is kept of an image, beside the boxes of classes that it is said to show."""

    min_score: float = Field(
        default=0.1, ge=0, description="class score from which a class is kept as a candidate"
    )
    classes_per_image: int = Field(
        default=5, ge=0, description="candidates that the model itself would not call present"
    )
    maps: bool = Field(
        default=False, description="keep their maps: for other cut-offs, heat maps and masks"
    )
