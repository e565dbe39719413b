# SPDX-License-Identifier: Apache-2.0
"""The loop that every training runs, and its parts: weight average, exact resume, sample order.

Samples are drawn by functions of (seed, position), never from a running generator, so a resumed
run sees what the uninterrupted one would have seen; the checkpoint holds all the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from alphapose_ros.base.errors import AlphaPoseError, WeightsError
from alphapose_ros.train.board import open_logs
from alphapose_ros.train.distributed import World
from alphapose_ros.train.precision import FLOAT32, Precision
from alphapose_ros.train.run_config import changed_options
from alphapose_ros.train.schedule import Schedule
from alphapose_ros.weights import load_checkpoint

Batch = TypeVar("Batch")
CHECKPOINT = "checkpoint.pt"


class TrainingDiverged(AlphaPoseError):
    """The loss or its gradient is no longer a finite number."""


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


@dataclass(frozen=True)
class RunOptions:
    """How a run moves.

    Attributes:
        schedule: of the rate; the optimizer's groups' ``lr`` at construction are its peaks.
        average_decay: of :class:`WeightAverage`.
        max_gradient_norm: gradients are scaled down to this norm; 0 for no limit.
        pieces: batches whose losses are averaged into one optimizer step.
        precision: of the forward pass, see :class:`Precision`.
        joints: names of what is learned, in their order; a checkpoint of others is refused.
        decided_by: the run's ``deciding_options``; a checkpoint made by others is refused.
    """

    schedule: Schedule
    average_decay: float = 0.999
    max_gradient_norm: float = 0.0
    pieces: int = 1
    precision: str = FLOAT32
    joints: tuple[str, ...] = ()
    decided_by: Mapping[str, Any] = field(default_factory=dict)


class Run:
    """One training run in a folder: model, optimizer, schedule and average move on together.

    Args:
        folder: receives ``checkpoint.pt`` and the logs.
        model: trained in place, the same on every process from here on.
        optimizer: of its parameters.
        options: how it moves.
        world: the processes that take part.

    ``sums`` are the terms of the loss since the last row of the log; the checkpoint keeps them,
    so that a row is the same whether or not the run was interrupted since the row before.
    """

    def __init__(
        self,
        folder: Path,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: RunOptions,
        world: World = World(),  # noqa: B008 (frozen)
    ) -> None:
        self.folder, self.model, self.optimizer = folder, model, optimizer
        self.options, self.world = options, world
        self.precision = Precision(options.precision, world.device)
        world.copy_from_main(model.state_dict().values())
        self.average = WeightAverage(model, options.average_decay)
        self.step = 0
        self.sums: dict[str, float] = {}
        self._peaks = [group["lr"] for group in optimizer.param_groups]
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoint_path(self) -> Path:
        """Where the state of the run is kept."""
        return self.folder / CHECKPOINT

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.options.schedule.steps

    @property
    def rate(self) -> float:
        """The highest learning rate of the last step."""
        return max(group["lr"] for group in self.optimizer.param_groups)

    def start_average(self) -> None:
        """Begin the average anew, at the model as it stands."""
        self.average = WeightAverage(self.model, self.options.average_decay)

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Back-propagate ``terms["loss"]`` of one piece of a step; the terms go into ``sums``.

        Raises:
            TrainingDiverged: the loss is NaN or infinite; no weight was changed.
        """
        loss = terms["loss"]
        if not torch.isfinite(loss):
            raise self._diverged(f"loss is {loss.item()}")
        self.precision.backward(loss / self.options.pieces)
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.item() / self.options.pieces

    def update(self) -> None:
        """Take one optimizer step with the gradients of all pieces and processes.

        Raises:
            TrainingDiverged: they are not finite; no weight was changed.
        """
        factor = self.options.schedule.factor(self.step)
        for group, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        self.world.share_sums(p.grad for p in parameters if p.grad is not None)
        limit = self.options.max_gradient_norm
        if not self.precision.step(self.optimizer, parameters, limit):
            raise self._diverged("the gradient is not finite")
        self.optimizer.zero_grad(set_to_none=True)
        self.world.share_means(_moving_moments(self.model))
        self.average.update(self.model)
        self.step += 1

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the previous one intact."""
        if not self.world.is_main:
            return
        state = {
            "step": self.step,
            "steps": self.steps,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "sums": self.sums,
            "precision": self.precision.state(),
            "joints": list(self.options.joints),
            "decided_by": dict(self.options.decided_by),
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint_path)

    def resume(self) -> bool:
        """Continue from the folder's checkpoint; False where there is none.

        Raises:
            WeightsError: the checkpoint is damaged, of a run of another length, other joints or
                other options, or not seen by every process.
        """
        found = self.checkpoint_path.exists()
        if found:
            self._take(load_checkpoint(self.checkpoint_path))
        if not self.world.agree(self.step):
            raise WeightsError(f"{self.checkpoint_path}: expected it on every machine alike")
        return found

    def _take(self, state: dict) -> None:
        try:
            if state["steps"] != self.steps:
                raise WeightsError(
                    f"{self.checkpoint_path}: made for {state['steps']} steps, got {self.steps}"
                )
            joints = tuple(state.get("joints", self.options.joints))  # older ones do not say
            if joints != self.options.joints:
                raise WeightsError(
                    f"{self.checkpoint_path}: made for the joints {', '.join(joints)}; got "
                    f"{', '.join(self.options.joints)}: train them in another folder"
                )
            finished = state["step"] == state["steps"]
            given = self.options.decided_by
            changed = changed_options(state.get("decided_by", {}), given, finished=finished)
            if changed:
                raise WeightsError(
                    f"{self.checkpoint_path}: made with {changed}: train in another folder"
                )
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for key, value in self.average.state.items():
                value.copy_(state["average"][key])  # stays on the model's device
            self.average.updates, self.step = state["updates"], state["step"]
            self.sums = dict(state.get("sums", {}))
            self.precision.restore(state.get("precision", {}))
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{self.checkpoint_path}: not a checkpoint of this run: {error}"
            ) from error

    def _diverged(self, what: str) -> TrainingDiverged:
        return TrainingDiverged(f"{what} at step {self.step}; lower the learning rate and resume")


def _moving_moments(model: nn.Module) -> Iterator[Tensor]:
    """Moments that each process moves by its own samples; frozen ones are alike already."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.training:
            yield from (b for b in module.buffers() if b.is_floating_point())


@dataclass(frozen=True)
class Rhythm:
    """How often a run writes: steps between checkpoints, between rows; whether as curves too."""

    save_every: int
    log_every: int
    tensorboard: bool = False


def fit(
    run: Run,
    batches: Iterable[Batch],
    terms_of: Callable[[Batch], Mapping[str, Tensor]],
    rhythm: Rhythm,
) -> None:
    """The loop: forward, backward, step, log, save, from where the run stands to its end.

    Args:
        run: what is trained.
        batches: ``run.options.pieces`` for each remaining step.
        terms_of: batch -> its "loss" and whatever else shall stand in the log.
        rhythm: of rows and checkpoints.
    """
    main, stream = run.world.is_main, iter(batches)
    if run.step == run.steps:
        return
    logs = open_logs(run.folder, run.step, tensorboard=rhythm.tensorboard) if main else []
    progress = tqdm(
        total=run.steps, initial=run.step, unit="step", mininterval=5, disable=not main
    )
    while run.step < run.steps:
        for batch in itertools.islice(stream, run.options.pieces):
            with run.precision.autocast():
                terms = terms_of(batch)
            run.backward(terms)
        run.update()
        progress.update()
        last = run.step == run.steps
        if run.step % rhythm.log_every == 0 or last:
            since = run.step % rhythm.log_every or rhythm.log_every
            means = {name: total / since for name, total in run.sums.items()}
            for log in logs:
                log.write(run.step, means | {"rate": run.rate})
            progress.set_postfix(loss=f"{means['loss']:.4g}", refresh=False)
            run.sums = {}
        if run.step % rhythm.save_every == 0 or last:
            run.save()
    progress.close()
    for log in logs:
        log.close()
