# SPDX-License-Identifier: Apache-2.0
"""Pieces that every training loop shares: schedule, weight average, exact resume, CSV log.

Samples are drawn by functions of (seed, position), never from a running generator, so a resumed
run sees what the uninterrupted one would have seen; the checkpoint holds all the rest.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from alphapose_ros.base.errors import AlphaPoseError, WeightsError
from alphapose_ros.weights import load_checkpoint


class TrainingDiverged(AlphaPoseError):
    """The loss is no longer a finite number."""


def cosine_factor(step: int, total: int, warmup: int) -> float:
    """Learning-rate factor: linear from 0 to 1 over ``warmup`` steps, then a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class WeightAverage:
    """Exponential moving average of a network's parameters and buffers, in float32.

    Early on the average follows faster, ``(1 + n) / (10 + n)`` after n updates, so that it does
    not remember the start for thousands of steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step of the model's weights into the average."""
        self.updates += 1
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[key].lerp_(value.detach(), 1 - keep)
            else:
                self.state[key].copy_(value)


class Run:
    """One training run in a folder: model, optimizer, schedule and average move on together.

    Args:
        folder: receives ``checkpoint.pt`` and ``log.csv``.
        model: trained in place.
        optimizer: its groups' ``lr`` at construction are the peaks of the schedule.
        steps, warmup: length of the schedule, in optimizer steps.
        average_decay: of :class:`WeightAverage`.
        max_gradient_norm: gradients are scaled down to this norm; 0 for no limit.

    ``sums`` are the loop's own running numbers; the checkpoint keeps them, so that a row of the
    log is the same whether or not the run was interrupted since the row before.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int,
        warmup: int,
        average_decay: float = 0.999,
        max_gradient_norm: float = 0.0,
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.steps, self.warmup, self.max_gradient_norm = steps, warmup, max_gradient_norm
        self.average = WeightAverage(model, average_decay)
        self.step = 0
        self.sums: dict[str, float] = {}
        self._peaks = [group["lr"] for group in optimizer.param_groups]
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self.folder / "checkpoint.pt"

    def advance(self, loss: Tensor) -> None:
        """Back-propagate ``loss`` and take one optimizer step.

        Raises:
            TrainingDiverged: the loss is NaN or infinite; no weight was changed.
        """
        if not torch.isfinite(loss):
            raise TrainingDiverged(
                f"loss is {loss.item()} at step {self.step}; lower the learning rate and resume"
            )
        factor = cosine_factor(self.step, self.steps, self.warmup)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.max_gradient_norm > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.max_gradient_norm)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the previous one intact."""
        state = {
            "step": self.step,
            "steps": self.steps,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "sums": self.sums,
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint; False where there is none.

        Raises:
            WeightsError: the checkpoint is damaged or of a run of another length.
        """
        if not self.checkpoint_path.exists():
            return False
        state = load_checkpoint(self.checkpoint_path)
        try:
            if state["steps"] != self.steps:
                raise WeightsError(
                    f"{self.checkpoint_path}: made for {state['steps']} steps, got {self.steps}"
                )
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for key, value in self.average.state.items():
                value.copy_(state["average"][key])  # stays on the model's device
            self.average.updates, self.step = state["updates"], state["step"]
            self.sums = dict(state.get("sums", {}))
        except (RuntimeError, LookupError, ValueError, TypeError) as error:
            raise WeightsError(
                f"{self.checkpoint_path}: not a checkpoint of this run: {error}"
            ) from error
        return True


class PositionSampler(Sampler[int]):
    """Positions ``start * batch .. steps * batch``: sample p of a run depends on p alone."""

    def __init__(self, start: int, steps: int, batch: int) -> None:
        self._positions = range(start * batch, steps * batch)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


class CsvLog:
    """A row of numbers per logged step; rows after a resumed step are written anew."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        rows: list[dict[str, str]] = []
        if start > 0 and path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= start]
        self._rows = rows
        if path.exists():
            path.unlink()
        for row in rows:
            self._append(row)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row; the first row's names are the columns."""
        self._append({"step": str(step), **{k: f"{v:.6g}" for k, v in values.items()}})

    def _append(self, row: Mapping[str, str]) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())
