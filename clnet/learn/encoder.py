"""The general encoder learns with labels: from random weights, or dataset by dataset, averaged, or held to what it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clnet.errors import UsageError
from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.fit import fit
from clnet.learn.general import Built
from clnet.learn.joint import JOINT, joint_target
from clnet.learn.momentum_queue import FeatureQueue, QueuePlan, Rehearsal, fill
from clnet.learn.partners import Partners, learned_in, partner_cost
from clnet.learn.plan import Lesson
from clnet.learn.plan import lesson as plain_lesson
from clnet.learn.target import Variants, decoder_variants
from clnet.learn.training import SegmentationTraining, averages
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.model.support import Route
from clnet.model.weights import load_weights, save_weights
from clnet.types import Decoder, Task
from clnet.units import rank

OWN = "own"  # the encoder that is being trained, as its partners' routes name it
QUEUE_FILE = "queue.safetensors"
TRAINED_FILE = "trained.safetensors"  # what the next dataset goes on from, where the encoder's file holds an average


@dataclass(frozen=True)
class Supervised:
    """An encoder learns with decoders that are its partners in one dataset after the other, each time new ones.

    The partners are a decoder for each anatomy, or with `lesson.joint` one decoder of all labels. groups: body groups of the decoders
    whose labels are learned (None: all of them). average: decay of the encoder's exponential moving average, which is then what comes
    out. hand_over: the partners of a single dataset stay, as the start of its decoders. undivided: the partner is a decoder of all labels,
    and stays one. queue: holds the encoder to the features that it gave to earlier datasets.
    Source: CL-Net 4.2, A4 (training from random weights; fine-tuning dataset by dataset with a paired decoder that is initialised anew, and
    averaged), A5 (label sets).
    """

    lesson: Lesson
    groups: tuple[str, ...] | None = None
    average: float | None = None
    hand_over: bool = False
    undivided: bool = False
    queue: QueuePlan | None = None

    @property
    def joint_start(self) -> bool:
        """Whether the partners are parts of one decoder."""
        return self.lesson.joint

    def announce(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead."""
        for task in tasks:
            cost = partner_cost(self.lesson, self._targets(decoders, task)) * self.lesson.training.steps
            shop.progress.plan(_title(task), cost)
        if self.queue is not None and len(tasks) > 1:
            shop.progress.say(f"momentum queue: {self.queue.memory(archive.shape, archive.image_channels)}")

    def build(
        self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task], start: LearnedEncoder | None,
        settings: object,
    ) -> Built:  # fmt: skip
        """One unit a dataset."""
        encoder, learned, queue = start, {}, None
        for number, task in enumerate(tasks, start=1):
            encoder, learned = self._learned(shop, archive, task, self._targets(decoders, task), encoder, settings, queue)
            archive.add(encoder)
            if self.queue is not None and number < len(tasks):
                queue = self._queued(shop, archive, task, encoder, queue, self.queue.size // (len(tasks) - 1))
        return Built(encoder, learned if self.hand_over and len(tasks) == 1 else {})

    def _targets(self, decoders: Iterable[Decoder], task: Task) -> dict[str, Variants]:
        """Raises UsageError where the dataset has no label of the groups."""
        chosen = [decoder for decoder in decoders if self.groups is None or decoder.group in self.groups]
        targets = decoder_variants(chosen, {task.dataset: task.labels})
        if not targets:
            raise UsageError("the encoder has nothing to learn here", where=task.dataset, fix="other encoder.datasets, or encoder=scratch",
                             expected=f"labels of {', '.join(self.groups or ())}")  # fmt: skip
        if self.undivided:
            return {JOINT: Variants({JOINT: joint_target([label for own in targets.values() for label in own.labels], task.cases)})}
        return targets

    def _learned(
        self, shop: Workshop, archive: Archive, task: Task, targets: Mapping[str, Variants], start: LearnedEncoder | None, settings: object,
        queue: Path | None,
    ) -> tuple[LearnedEncoder, dict[str, LearnedDecoder]]:  # fmt: skip
        name = _title(task)
        if queue is None and self.queue is not None and isinstance(settings, Mapping):  # the first dataset is learned alike with any queue
            settings = {**settings, "queue": None}
        identity = shop.identity((), [task], stage=settings, decoders=[(t.decoder.name, t.labels) for t in targets.values()],
                                 start=start.identity if start else None, queue=queue.name if queue else None)  # fmt: skip

        def build(folder: Path) -> None:
            encoder = shop.made(archive.new_encoder, "encoder")
            averaged = rehearsal = None
            if queue is not None:
                rehearsal = Rehearsal(FeatureQueue.load(queue / QUEUE_FILE, self.queue), shop.seed)
            if start is not None:
                load_weights(encoder, start.trained or start.file)
            if self.average is not None:
                averaged = averages(encoder, archive.encoder(start.identity) if start is not None else None, self.average)
            own = Partners(shop, archive, task, targets, self.lesson, Route(OWN))
            module = SegmentationTraining(own.bank, own.trained, own.routes, self.lesson.training, encoder=encoder,
                                          averaged_encoder=averaged, rehearsal=rehearsal)  # fmt: skip
            fit(module, own.batches("encoder"), shop.trainer, folder, shop.progress, name, partner_cost(self.lesson, targets))
            if rank() == 0:
                save_weights(averaged.module if averaged is not None else encoder, folder / "encoder.safetensors")
                if averaged is not None:
                    save_weights(encoder, folder / TRAINED_FILE)
                if self.hand_over:
                    own.save(folder)

        folder = shop.built("encoder", identity, build, name)
        trained = folder / TRAINED_FILE if self.average is not None else None
        encoder = LearnedEncoder(folder / "encoder.safetensors", folder.name, trained=trained)
        return encoder, {key: learned_in(folder, encoder, key, variants) for key, variants in targets.items()}

    def _queued(
        self, shop: Workshop, archive: Archive, task: Task, encoder: LearnedEncoder, before: Path | None, entries: int
    ) -> Path:  # fmt: skip
        """The queue after a dataset, a unit of its own."""
        name = f"momentum queue of {task.dataset}"
        identity = shop.identity((), [task], queue=self.queue, entries=entries, encoder=encoder.identity,
                                 before=before.name if before else None)  # fmt: skip

        def build(folder: Path) -> None:
            queue = FeatureQueue.load(before / QUEUE_FILE, self.queue) if before else FeatureQueue(self.queue)
            network = with_fast_layout(archive.encoder(encoder.identity), shop.device).eval()
            fill(queue, network, shop.cases([task])[0], shop.intensity, [shop.seed, task.step], entries)
            queue.save(folder / QUEUE_FILE)

        return shop.built("queue", identity, build, name, collective=False)


def supervised(
    sampling: Mapping, training: Mapping, optimizer: Callable, joint: bool = False, groups: Sequence[str] | None = None, **values
) -> Supervised:  # fmt: skip
    """The stage out of plain values, as YAML gives them."""
    made = plain_lesson(sampling, training, optimizer, joint)
    return Supervised(made, tuple(groups) if groups else None, **values)


def _title(task: Task) -> str:
    return f"encoder on {task.dataset}"
