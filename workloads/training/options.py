"""Options of training; recipes hold these, so they load without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from workloads.images.decode import Fit
from workloads.options import Options
from workloads.training.order import LastBatch
from workloads.training.share import Share


class TrainOptions(Options):
    """Training of a network. `learning_rate` and `batch_size` are those of all workers together."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=32, ge=1, description="over all workers")
    image_size: int | None = Field(default=None, description="null: the backbone's own")
    fit: Fit = Field(
        default="warp", description="each side on its own, or pad: longer side scaled, rest filled"
    )
    crop_margin: int = Field(
        default=30, ge=0, description="resize to image_size + margin, then crop at random"
    )
    resize: Literal["square", "short_side"] = Field(
        default="square",
        description="before the crop: both sides, or the shorter one and the other in proportion",
    )
    flip: bool = Field(default=True, description="mirror half of the images")
    balance: bool = Field(default=False, description="repeat images of rare classes")
    balance_limit: float = Field(
        default=10.0, ge=1, description="most showings of an image in an epoch, on average"
    )
    noise: float = Field(
        default=0.0, ge=0, description="white noise on repeats, standard deviation in grey levels"
    )
    rotation_deg: float = Field(
        default=0.0, ge=0, le=180, description="largest angle by which repeats are turned"
    )
    last_batch: LastBatch = Field(
        default="drop",
        description="images of an epoch that fill no batch: left out of it, or a short batch",
    )
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        description="images of a worker at a time; the gradients of a larger batch are added up",
    )
    shuffle_pool: int = Field(
        default=2048, ge=1, description="images among which the next one is drawn"
    )
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.01, gt=0)
    new_layer_factor: float = Field(default=1.0, gt=0, description="learning rate of new layers")
    bias_factor: float = Field(
        default=1.0, gt=0, description="learning rate of biases, times that of their layer"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = Field(default=False, description="Nesterov's form of momentum; sgd only")
    weight_decay: float = Field(default=5e-4, ge=0)
    decay_biases: bool = Field(default=True, description="weight decay of biases too")
    clip_norm: float | None = Field(
        default=None, gt=0, description="longest gradient of all parameters; longer is scaled down"
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="keep a moving average of the weights, which becomes the model",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        default="auto",
        description="of the forward pass; auto: bf16 on GPUs and on CPUs with AMX, else float32",
    )
    channels_last: bool = Field(default=True, description="memory layout of images and weights")
    sync_batch_norm: bool = Field(
        default=False, description="batch statistics over all workers (GPUs only)"
    )
    compile: bool = Field(default=False, description="torch.compile the network")
    batch_rule: Literal["total", "worker"] = Field(
        default="total",
        description="with fewer workers than planned: the batch stays as it is, or each worker's "
        "does and the learning rate falls with the total",
    )
    schedule: Literal["step", "cosine"] = "step"
    step_epochs: tuple[int, ...] = Field(default=(10,), description="epochs of each decay")
    decay: float = Field(default=0.1, gt=0, le=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    seed: int = 0
    model: Literal["last", "best"] = Field(
        default="last",
        description="the weights after the last epoch, or after that of the best val mAP",
    )
    validation_images: int = Field(default=1000, ge=0, description="images of the val curve")

    @field_validator("resize")
    @classmethod
    def _only_if_warped(cls, value: str, info: ValidationInfo) -> str:
        if value == "short_side" and info.data.get("fit") == "pad":
            raise ValueError("padded images keep their shape: set fit to warp, or this to square")
        return value

    @field_validator("nesterov")
    @classmethod
    def _only_with_momentum(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not (info.data.get("optimizer") == "sgd" and info.data.get("momentum")):
            raise ValueError("needs optimizer sgd and a momentum above 0")
        return value

    @field_validator("noise", "rotation_deg")
    @classmethod
    def _only_on_repeats(cls, value: float, info: ValidationInfo) -> float:
        if value and not info.data.get("balance", True):
            raise ValueError("is for repeated images: set balance to true, or this to 0")
        if value and info.data.get("fit") == "pad":
            raise ValueError("padded images are shown as they are: set fit to warp, or this to 0")
        return value

    def batch_of(self, share: Share) -> int:
        """Images in a batch of all workers, by the rule for fewer workers than planned."""
        if self.batch_rule == "total" or share.world == share.planned:
            return self.batch_size
        return max(1, self.batch_size // share.planned) * share.world

    def rate_factor(self, share: Share) -> float:
        """Factor of the learning rate, linear in the batch (Goyal et al. 2017, section 2.1)."""
        return self.batch_of(share) / self.batch_size
