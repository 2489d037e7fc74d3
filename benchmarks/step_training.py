"""One training step of a session, in the form that a variant names, whole or in its parts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.step_variants import Change, Variant, variant_optimizer
from core.errors import UserError
from core.examples import Batch
from core.names import Precision
from core.prediction import frozen_input
from core.session import Session

WARM_UP_ON_GPU = 3  # steps before a graph is captured, as torch asks


class TrainingStep:
    """A call trains on the next batch, as :class:`core.session.Session` does, and returns the loss.

    Args:
        session: its model, faces, loss and settings are used; its optimiser is replaced by the variant's.
        variant: any that has no :func:`benchmarks.step_variants.obstacle`, ``graph`` aside (see :func:`whole_step`).
    """

    def __init__(self, session: Session, variant: Variant) -> None:
        training = session.config.training
        count, self.batch_size = len(session.train_source.examples), training.batch_size
        if count < self.batch_size:
            raise UserError(f"a batch of {self.batch_size} needs as many training faces, there are {count}")
        self.session, self.variant, self.device = session, variant, session.device
        if Change.CONTIGUOUS in variant.changes:
            session.model.to(memory_format=torch.contiguous_format)
        parameters = session.model.learned_tensors().values()
        session.optimizer = variant_optimizer(variant, training.optimizer, parameters, training.lr, self.device)
        self.update = compiled_if(variant, Change.COMPILED_UPDATE, session.optimizer.step)
        self.loss_of = compiled_if(variant, Change.COMPILE, self._loss_of)
        self.order = np.random.default_rng(0).permutation(count).astype(np.int64)
        self.next_face = 0
        self.same_batch = self.next_batch() if Change.NO_COPY in variant.changes else None
        session.model.train()

    def next_batch(self) -> Batch:
        """Faces of the next full batch in a fixed random order, over and over."""
        if self.next_face + self.batch_size > len(self.order):
            self.next_face = 0
        chosen = self.order[self.next_face : self.next_face + self.batch_size]
        self.next_face += self.batch_size
        return self.session.train_source.gather(chosen)

    def gather(self) -> Batch:
        """The next batch; with ``no-copy`` the same again."""
        return self.next_batch() if self.same_batch is None else self.same_batch

    def forward(self, batch: Batch) -> Tensor:
        """From faces to loss."""
        self.session.optimizer.zero_grad(set_to_none=True)
        loss: Tensor = self.loss_of(batch.inputs, batch.landmarks, batch.gender)
        return loss

    def _loss_of(self, inputs: Tensor, landmarks: Tensor, gender: Tensor) -> Tensor:
        bf16 = self.variant.precision is Precision.BF16
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            x = frozen_input(self.session.model, inputs)
            if Change.CONTIGUOUS in self.variant.changes:
                x = x.contiguous()
            outputs = self.session.model(x)
        return self.session.loss(outputs, landmarks, gender)

    def on(self, batch: Batch) -> Tensor:
        """Train on a batch."""
        loss = self.forward(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        self.update()
        return loss.detach()

    def __call__(self) -> Tensor:
        """Train on the next batch."""
        return self.on(self.gather())


def compiled_if(variant: Variant, change: Change, work: Callable[..., Any]) -> Callable[..., Any]:
    """``work`` through torch.compile if the variant asks for it."""
    return torch.compile(work) if change in variant.changes else work


def whole_step(step: TrainingStep) -> Callable[[], Tensor]:
    """The step as one call: itself, or its replay as a CUDA graph."""
    return captured(step) if Change.GRAPH in step.variant.changes else step


def captured(step: TrainingStep) -> Callable[[], Tensor]:
    """The step recorded as a CUDA graph; a call copies the next batch into the recorded one and replays it.

    Recording needs some real steps first, so the model has learned from as many batches by then.
    """
    batch = step.gather()
    held = Batch(batch.inputs.clone(), batch.landmarks.clone(), batch.gender.clone())
    aside = torch.cuda.Stream(step.device)  # type: ignore[no-untyped-call]  # untyped in torch
    aside.wait_stream(torch.cuda.current_stream(step.device))
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP_ON_GPU):
            step.on(held)
    torch.cuda.current_stream(step.device).wait_stream(aside)
    step.session.optimizer.zero_grad(set_to_none=True)  # so that the graph owns the gradients it will write
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step.on(held)

    def replay() -> Tensor:
        if step.same_batch is None:
            for target, source in zip(vars(held).values(), vars(step.gather()).values(), strict=True):
                target.copy_(source)
        graph.replay()
        return loss

    return replay
