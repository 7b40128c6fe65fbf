"""What a method is: a module that can be trained a step at a time and gives distances to classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from avzsl.config.base import Section
from avzsl.config.methods import Option, TrainingConfig


@dataclass(frozen=True)
class Dims:
    """Widths of the audio features, the visual features and the class embeddings."""

    audio: int
    visual: int
    text: int


@dataclass(frozen=True)
class Steps:
    """Sequences of one modality: `values` (B, T, k), zero from a clip's end to the longest of the batch.

    `lengths` (B,) int64 counts a clip's real steps; `times` (B, T, 2) float64 holds the seconds at which each step
    starts and ends in its clip (as the data have them, whatever was cropped), zero where padded. `own` int64 are the
    places of real steps in B x T, found before the batch goes to its device: to find them there the host must wait.
    """

    values: Tensor
    lengths: Tensor
    times: Tensor
    own: Tensor | None = None


# What a method sees of a modality: averages (B, k) unless it says otherwise, as `class Mine(Method[Steps])` does.
Input = TypeVar("Input", Tensor, Steps, default=Tensor)


@dataclass(frozen=True)
class Clips(Generic[Input]):
    """A batch of clips: `audio` (B, k_a), `visual` (B, k_v), `text` (B, k_w) their class's embedding, `labels` (B,).

    `audio` and `visual` are Steps for a method whose `inputs` are sequences. A label is the row of the clip's class in
    the batch's `classes`.
    """

    audio: Input
    visual: Input
    text: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Batch(Generic[Input]):
    """Positive clips, a negative clip of another class for each, and all training classes (C, k_w)."""

    positive: Clips[Input]
    negative: Clips[Input]
    classes: Tensor


class TrainingSet(Protocol):
    """Where batches come from."""

    classes: Tensor  # (C, k_w), embeddings of the training classes

    def batches(self, count: int, size: int) -> Any:
        """Yield `count` batches of `size` clips, classes drawn uniformly, clips uniformly within a class."""

    def __len__(self) -> int:
        """Return the number of training clips."""

    def clips(self, positions: Tensor) -> Clips:
        """Return the training clips of the numbers `positions` (B,) from 0."""

    def blocks(self) -> Iterator[Clips]:
        """Yield all training clips once, so many at a time as take little memory, always in the same order."""

    @property
    def extractor(self) -> Mapping[str, Any]:
        """Return what made the features: name, weights, label_sets ..."""

    @property
    def named(self) -> Mapping[str, frozenset[str]] | None:
        """Return label set -> labels that name a class of the benchmark; None where nobody has compared them."""

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """Return the embeddings (n, k_w) of any phrases, made as the classes' were; a row of 0 where there is none."""


class Method(nn.Module, Generic[Input]):
    """Base of all methods. A method module defines one subclass and names it `METHOD`.

    A subclass takes (dims, options), with the options of its own model, and gives `loss` and `distances`; all else has a
    default. One that is not
    trained by plain gradient steps overrides `epoch`.
    """

    # What a clip is to the method: two averages, or two sequences of steps. Its YAML says the same, for the workflow.
    inputs: Literal["averages", "sequences"] = "averages"
    # False: the method never looks at negative clips, so none are gathered and a batch holds an empty `negative`.
    negatives = True
    # Nominal seconds of a step of sound and of picture, by which crops are laid; None: the median of the data.
    step_seconds: Sequence[float] | None = None

    # The output whose score is the method's result, and which validation selects by.
    reported = "both"
    # Closed-form methods: how many settings stage 1 tries, each in an epoch's place. None: trained by epochs.
    settings: int | None = None

    def __init__(self, dims: Dims, options: Section) -> None:
        super().__init__()
        self.dims = dims
        self.options = options
        # The number, from 1, of the epoch or setting whose turn it is.
        self.setting = 1
        # Hyper-parameters that the method itself chose on validation clips, for the run's record.
        self.chosen: dict[str, Option] = {}
        # Replaced by a compiled version of `loss` where the configuration asks for it.
        self.compiled_loss: Callable[[Batch[Input]], Tensor] | None = None

    def needs(self) -> frozenset[str]:
        """Return the modalities that it cannot do without: both, unless its option `modalities` chooses or joins them."""
        which = getattr(self.options, "modalities", None)
        if which is None:
            return frozenset({"audio", "visual"})
        return frozenset() if which == "both" else frozenset({which})

    def loss(self, batch: Batch[Input]) -> Tensor:
        """Return the scalar training loss of one batch."""
        raise NotImplementedError

    def distances(self, audio: Input, visual: Input, classes: Tensor) -> dict[str, Tensor]:
        """Return, for each output of the method, the distance of every clip to every class, (N, C).

        `audio` (N, k_a), `visual` (N, k_v), or Steps, and `classes` (C, k_w) are inputs; called in evaluation mode. The
        dictionary holds `reported`; the released protocol averages beta over all of its entries.
        """
        raise NotImplementedError

    def embed(self, audio: Input, visual: Input, classes: Tensor) -> dict[str, Tensor]:
        """Return learnt embeddings in one common space, if there are any: `classes` (C, D) and some of the others.

        `audio` and `visual` (N, D) are of one modality, `both` (N, D) of a clip whose modalities cannot be told apart.
        """
        return {}

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters that the optimiser moves."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def optimisers(self, training: TrainingConfig) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by name; all follow the protocol's learning rate."""
        parameters = self.trained()
        if not parameters:
            return {}
        # Fused: one kernel for all parameters; the same arithmetic as the plain loop over them.
        adam = torch.optim.Adam(parameters, lr=training.lr, weight_decay=training.weight_decay, fused=True)
        return {"adam": adam}

    @property
    def plain(self) -> bool:
        """Whether an epoch of it is this class's, by this class's Adam: then its seeds can be trained in one pass."""
        own = type(self)
        return (own.step, own.epoch, own.optimisers) == (Method.step, Method.epoch, Method.optimisers)

    def step(self, batch: Batch[Input], optimisers: dict[str, torch.optim.Optimizer], remaining: int) -> Tensor:
        """Take one optimisation step and return its loss, detached; nothing in here waits for the device.

        `remaining` counts the steps of this epoch that come after this one.
        """
        optimiser = optimisers["adam"]
        optimiser.zero_grad(set_to_none=True)
        loss = (self.compiled_loss or self.loss)(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss.detach()

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Train for one epoch and return the mean loss as a scalar tensor."""
        self.train()
        count = training.batches_per_epoch
        total = torch.zeros((), device=data.classes.device, dtype=data.classes.dtype)
        for number, batch in enumerate(data.batches(count, training.batch_size)):
            with torch.autocast(data.classes.device.type, torch.bfloat16, enabled=training.precision == "bfloat16"):
                total += self.step(batch, optimisers, count - 1 - number)
        return total / count
