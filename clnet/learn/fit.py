"""The one place that makes a Trainer."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch.utils.data import Dataset

from clnet.atomic import write_text
from clnet.learn.batches import batch_loader
from clnet.learn.checkpoint import AtomicCheckpointIO, newest_readable, steps_done
from clnet.learn.heap import freed_memory_kept
from clnet.learn.progress import RunProgress
from clnet.learn.watched import WatchedTraining


@dataclass(frozen=True)
class TrainerSettings:
    """Hardware and bookkeeping; on a CPU nothing here but `devices` may change a result (threads can, in the last bit).

    prediction_precision: of predictions, "32-true" or, on a GPU, "16-mixed" or "bf16-mixed"; prediction_gib: for the sums of overlapping
    windows, on the device; what needs more is predicted in further passes over a scan (`ScanPredictor`).
    devices: each has batches of its own, so several make a step's batch that many times as large. decoder_threads: instead of `threads`
    where a decoder learns on the frozen encoder, as several then may at a time. checkpoint_every_epochs: how often a training can be
    continued from.
    """

    accelerator: str = "cpu"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    prediction_precision: str = "32-true"
    prediction_gib: float = 2.0
    threads: int | None = None
    decoder_threads: int | None = None
    workers: int = 0
    deterministic: bool = True
    checkpoint_every_epochs: int = 1

    @property
    def of_decoders(self) -> TrainerSettings:
        """The settings with which a decoder learns on the frozen encoder."""
        return replace(self, threads=self.decoder_threads or self.threads)

    def use_threads(self) -> None:
        """Give torch its threads: one per core unless set."""
        torch.set_num_threads(self.threads or os.cpu_count() or 1)


def fit(
    module: WatchedTraining,
    batches: Dataset,
    settings: TrainerSettings,
    folder: Path,
    progress: RunProgress,
    name: str,
    cost: float,
) -> None:
    """Train `module` to its last step in `folder`, continuing from a checkpoint that an earlier, killed call left there.

    batches: item i is the whole batch of step i.
    cost: what one step adds to the progress. Writes `metrics.jsonl`, one line an epoch, on a GPU with its seconds and the peak of
    its memory, and removes its checkpoints at the end.
    """
    settings.use_threads()
    torch.utils.deterministic.fill_uninitialized_memory = False  # 4 to 8 % of a step's time; nothing here reads what was not written
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    checkpoint = folder / "last.ckpt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # the worker count is our user's choice
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # torch's own deprecation inside Lightning
        warnings.filterwarnings("ignore", message=".*`training_step` returned `None`.*")  # how a step is skipped on purpose
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")  # a step with infinite gradients, which mixed precision skips
        trainer = Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=settings.strategy,
            precision=settings.precision,
            deterministic=settings.deterministic,
            max_epochs=module.settings.epochs + module.settings.warm_up_epochs,
            gradient_clip_val=module.settings.gradient_clip_norm,
            callbacks=[_Bookkeeping(checkpoint, settings.checkpoint_every_epochs, progress, name, cost)],
            plugins=[AtomicCheckpointIO(), *([LightningEnvironment()] if settings.devices == 1 else [])],
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=False,
        )
        resumed, epoch_steps = newest_readable(checkpoint), module.settings.steps_per_epoch
        first_epoch = steps_done(resumed) // epoch_steps
        loader = batch_loader(batches, epoch_steps, settings.workers, trainer.global_rank, trainer.world_size, first_epoch)
        with freed_memory_kept() if trainer.strategy.root_device.type == "cpu" else nullcontext():
            trainer.fit(module, loader, ckpt_path=resumed)
    if trainer.is_global_zero:
        for leftover in folder.glob("*.ckpt"):
            leftover.unlink()


class _Bookkeeping(Callback):
    """Checkpoints, the local record of losses, and the progress line."""

    def __init__(self, checkpoint: Path, every: int, progress: RunProgress, name: str, cost: float):
        self.checkpoint, self.every, self.progress, self.name, self.cost = checkpoint, every, progress, name, cost
        self.record = checkpoint.with_name("metrics.jsonl")
        self.losses: list[float] = []
        self.epoch_began = time.perf_counter()

    def on_train_start(self, trainer: Trainer, module: WatchedTraining) -> None:
        """Drop the record of epochs that a killed call finished after its last checkpoint: they come again."""
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(module.device)
        if trainer.is_global_zero and self.record.exists():
            lines = self.record.read_text().splitlines(keepends=True)
            write_text(self.record, "".join(lines[: trainer.current_epoch]))

    def on_train_epoch_start(self, *_: Any) -> None:
        self.epoch_began = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, module: WatchedTraining, *_: Any) -> None:
        self.losses.append(module.last_loss)
        total = module.settings.steps
        self.progress.advance(self.name, self.cost, f"{trainer.global_step}/{total} loss {module.last_loss:.3f}")

    def on_train_epoch_end(self, trainer: Trainer, module: WatchedTraining) -> None:
        epochs_done = trainer.current_epoch + 1
        if trainer.is_global_zero:
            finite = [loss for loss in self.losses if loss == loss]
            loss = sum(finite) / max(len(finite), 1)
            record = {"epoch": epochs_done, "step": trainer.global_step, "loss": loss, **module.observed(), **self._on_a_gpu(module)}
            with self.record.open("a") as file:
                file.write(json.dumps(record) + "\n")
        self.losses.clear()
        if epochs_done % self.every == 0 and epochs_done < trainer.max_epochs:
            trainer.save_checkpoint(self.checkpoint)

    def _on_a_gpu(self, module: WatchedTraining) -> dict[str, float]:
        """What an epoch took, and the most that tensors have taken of the GPU; nothing on a CPU, where records are the same for the same
        seed."""
        if module.device.type != "cuda":
            return {}
        peak = torch.cuda.max_memory_allocated(module.device) / 2**30
        return {"seconds": round(time.perf_counter() - self.epoch_began, 3), "gpu_peak_gib": round(peak, 3)}
