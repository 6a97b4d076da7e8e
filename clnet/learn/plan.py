"""What a method is to do, as plain data: lessons, pruning, averaging, validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clnet.errors import UsageError
from clnet.learn.batches import Sampling
from clnet.learn.optim import Training
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import Masks, SingleWeights


@dataclass(frozen=True)
class Lesson:
    """How one training is sampled and how long it lasts; `joint`: one decoder of all labels stands in for those of each anatomy."""

    sampling: Sampling
    training: Training
    joint: bool = False


def lesson(sampling: Mapping, training: Mapping, optimizer: Callable, joint: bool = False, lr: float | None = None) -> Lesson:
    """A lesson out of plain values, as YAML gives them. lr: in the place of the training's, where it is given."""
    own = {} if lr is None else {"lr": lr}
    return Lesson(Sampling(**sampling), Training(optimizer=optimizer, **{**training, **own}), joint)


@dataclass(frozen=True)
class DecoderPlan:
    """Width of the decoders and their lessons: new ones, the encoder's own ones after the freeze, and known ones that a later
    dataset annotates again. `refine` may be None: the decoders trained with the encoder are then used as they are. `start`: the first
    dataset's decoders learn side by side before, where the encoder does not hand them over; None: they are new.

    width: number of a decoder's structures -> features of its finest block, None for those of the encoder.
    """

    width: Callable[[int], int | None]
    new: Lesson
    update: Lesson
    refine: Lesson | None = None
    start: Lesson | None = None


Choice = Callable[[DecoderNetwork, float, Masks | None], Masks]  # network, share to remove, masks to stay within


@dataclass(frozen=True)
class Stage:
    """Rounds of pruning that remove the same kind of thing.

    rates_percent: shares of the weights and biases of all convolutions that are gone after each round; choose: which go.
    fallback_percent: a lower rate that is tried once where the first round fails; None: the decoder then stays as it was.
    """

    rates_percent: tuple[float, ...]
    choose: Choice = field(default_factory=SingleWeights)
    fallback_percent: float | None = None


@dataclass(frozen=True)
class LotteryTicket:
    """Iterative pruning of a trained decoder: prune, rewind what is kept, retrain, validate; then recover.

    rates_percent, choose, fallback_percent: of the first stage (`Stage`); then: a stage that follows it, on what it left.
    max_drop_dsc_points: a round whose validation DSC, the mean inside the `percentiles`, lies further below the unpruned decoder's is
    taken back and ends its stage.
    round, recovery: the trainings of a round and after the last one, whose epochs have the steps of the pruned decoder's own lesson
    where they say 0; steps_growth: a round at rate T has 1 + growth * T times as many; lr_exponent: its learning rate goes with
    (1 - T)^-exponent, and is `round`'s in the first one.
    update_step_percent: an update of the decoder by a later dataset may raise the rate in such steps, at most update_rounds of them;
    None: the mask stays (the paper's recommendation). Update rounds prune the averaged weights as the last stage does and rewind nothing.
    Source: CL-Net 4.3, A4; NOTES.md 10 to 13.
    """

    rates_percent: tuple[float, ...]
    round: Training
    recovery: Training
    max_drop_dsc_points: float = 1.0
    percentiles: tuple[float, float] = (5.0, 95.0)
    steps_growth: float = 1.0
    lr_exponent: float = 0.0
    fallback_percent: float | None = None
    update_step_percent: float | None = None
    update_rounds: int = 0
    choose: Choice = field(default_factory=SingleWeights)
    then: Stage | None = None

    @property
    def stages(self) -> list[Stage]:
        """In their order."""
        return [Stage(self.rates_percent, self.choose, self.fallback_percent), *([self.then] if self.then else [])]

    def retraining(self, lesson: Lesson, rate: float) -> Lesson:
        """The round that prunes to `rate`, a share, a decoder that learned by `lesson`."""
        kept, kept_first = 1 - rate, 1 - self.rates_percent[0] / 100
        steps = self.round.steps_per_epoch or lesson.training.steps_per_epoch
        lr = self.round.lr * (kept_first / kept) ** self.lr_exponent
        return replace(lesson, training=replace(self.round, steps_per_epoch=round(steps * (1 + self.steps_growth * rate)), lr=lr))

    def recovering(self, lesson: Lesson) -> Lesson:
        """The recovery of a decoder that learned by `lesson`."""
        steps = self.recovery.steps_per_epoch or lesson.training.steps_per_epoch
        return replace(lesson, training=replace(self.recovery, steps_per_epoch=steps))


def lottery_ticket(
    rates_percent: Sequence[float], round: Mapping, recovery: Mapping, optimizer: Callable, then: Mapping | None = None, **values
) -> LotteryTicket:
    """The plan out of plain values; a training may leave out its steps per epoch, `then` holds the fields of a stage.

    Raises UsageError for rates that do not rise from above 0 to below 100, and for a fallback that is not below them.
    """
    rates = _rates(rates_percent, values.get("fallback_percent"), "pruning")
    if then is not None:
        then = Stage(**{**then, "rates_percent": _rates(then["rates_percent"], then.get("fallback_percent"), "pruning.then")})
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    trainings = (Training(optimizer=optimizer, **{"steps_per_epoch": 0, **plain}) for plain in (round, recovery))
    return LotteryTicket(rates, *trainings, then=then, **values)


def _rates(rates_percent: Sequence[float], fallback_percent: float | None, where: str) -> tuple[float, ...]:
    rates = tuple(float(rate) for rate in rates_percent)
    if not rates or list(rates) != sorted(set(rates)) or rates[0] <= 0 or rates[-1] >= 100:
        raise UsageError("pruning rates must rise from above 0 to below 100", where=f"{where}.rates_percent", found=list(rates))
    if fallback_percent is not None and not 0 < fallback_percent < rates[0]:
        raise UsageError("the fallback must lie below the first rate", where=f"{where}.fallback_percent", found=fallback_percent,
                         expected=f"between 0 and {rates[0]:g}")  # fmt: skip
    return rates


@dataclass(frozen=True)
class Supporting:
    """How decoders support each other; who supports whom stands in the registry, or in `graph` (decoder -> supporters) instead.

    as_masks: supporters hand over their predicted foreground as input channels of a copy of the encoder that is trained with the
    decoder, not their features. refresh: an update of a decoder may replace its supporters' snapshots by their present state, where
    its validation DSC does not fall by more than `max_drop_dsc_points`; False: it keeps those it was trained with.
    Source: CL-Net 4.3, Table S5, A6; NOTES.md 17.
    """

    graph: Mapping[str, tuple[str, ...]] | None = None
    as_masks: bool = False
    refresh: bool = False
    max_drop_dsc_points: float = 1.0
    percentiles: tuple[float, float] = (5.0, 95.0)


@dataclass(frozen=True)
class EncoderTuning:
    """The ablation that unfreezes the encoder: with every later dataset it is trained on, together with that dataset's decoders.

    shared: all decoders then read the tuned encoder, also those that the dataset does not train; False: each dataset's decoders keep
    an encoder of their own, and the next dataset starts from the first one again.
    Source: CL-Net A6 (both fine-tuned individually on each downstream task, at 1e-4 for 300 epochs), Table S10.
    """

    lesson: Lesson
    shared: bool = False
