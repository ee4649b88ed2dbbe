"""Stable Diffusion as a prior: tiny pipelines, saved to a folder, through the real engine."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from skimage.data import astronaut
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from veil.attacks import recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.errors import BadSettings, DeviceFull, WeightsCorrupt, WeightsMissing
from veil.core.progress import finish
from veil.core.types import Photo, Stage, tracks_of
from veil.privacy import protect
from veil.privacy.attention import recorded
from veil.privacy.embeddings import learn
from veil.privacy.engine import find_change, subject_of
from veil.privacy.face_context import Crop, align_crop
from veil.privacy.inversion import ddim_step, denoise, invert, levels
from veil.privacy.latent import Optimisation
from veil.privacy.priors import Prior, prior, stable_diffusion
from veil.privacy.settings import settings
from veil.privacy.structure import attention_distance, denoise_with_maps

TOKENS, WIDTH = 77, 16  # of the embedding of a prompt
CPU = torch.device("cpu")
KINDS: dict[str, dict[str, Any]] = {  # what tells the real ones apart
    "sd1": {"unet": {"attention_head_dim": 4}, "pad": "<|endoftext|>", "predicts": "epsilon"},
    "sd2": {
        "unet": {"attention_head_dim": (2, 4), "use_linear_projection": True},
        "pad": "!",
        "predicts": "epsilon",
    },
    "sd2-768": {
        "unet": {"attention_head_dim": (2, 4), "use_linear_projection": True, "upcast_attention": True},
        "pad": "!",
        "predicts": "v_prediction",
    },
}


def tokenizer(folder: Path, pad: str) -> CLIPTokenizer:
    """Of four tokens, in the files that the real ones have."""
    folder.mkdir(parents=True)
    ends = ("<|startoftext|>", "<|endoftext|>")
    special = {"bos_token": ends[0], "eos_token": ends[1], "unk_token": ends[1], "pad_token": pad}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, **special}
    vocabulary = {token: index for index, token in enumerate(("!", "!</w>", *ends))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return CLIPTokenizer.from_pretrained(folder)


def unet(kind: str, **changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
        **KINDS[kind]["unet"],
        **changes,
    )


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 16),
        latent_channels=4,
        norm_num_groups=8,
    )


def pipeline(folder: Path, kind: str) -> StableDiffusionPipeline:
    """A Stable Diffusion in miniature: crops of 64 pixels, latents of 4x16x16."""
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=4,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=2,
        eos_token_id=3,
    )
    betas: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    predicts = KINDS[kind]["predicts"]
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer(folder / "source", KINDS[kind]["pad"]),
        unet=unet(kind),
        scheduler=PNDMScheduler(**betas, skip_prk_steps=True, steps_offset=1, prediction_type=predicts),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each kind of pipeline in a folder of its own."""
    made: dict[str, Path] = {}
    for kind in KINDS:
        made[kind] = tmp_path_factory.mktemp(kind) / "model"
        pipeline(made[kind].parent, kind).save_pretrained(made[kind])
        tokens = made[kind].parent / "source"
        for file in tokens.iterdir():  # as the real ones were saved
            file.rename(made[kind] / "tokenizer" / file.name)
        (made[kind] / "tokenizer/tokenizer.json").unlink()
    return made


def name(folder: Path) -> str:
    return f"stable-diffusion:{folder}"


@pytest.fixture(scope="module", params=KINDS)
def used(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Prior:
    return prior(name(folders[request.param]))


@pytest.fixture(scope="module")
def photo() -> Photo:
    return Photo(astronaut(), "astronaut.png")


def rebuilt(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Prior:
    """The prior of a folder with other options than the machine's own."""
    part = {"torch_dtype": dtype}
    return stable_diffusion.build(
        "tiny",
        UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **part),
        AutoencoderKL.from_pretrained(folder, subfolder="vae"),
        DDIMScheduler.from_pretrained(folder, subfolder="scheduler"),
        stable_diffusion.embedding_of_nothing(folder),
        None,
        CPU,
        **options,
    )


@pytest.fixture(scope="module")
def crop(photo: Photo) -> Crop:
    """The astronaut's face, as every tiny prior sees it."""
    return align_crop(photo.pixels, find_faces(photo.pixels)[0], stable_diffusion.TEMPLATE, 64)


def deepest(used: Prior, crop: Crop) -> torch.Tensor:
    with torch.no_grad():
        return invert(used, used.encode(crop.pixels), levels(used, 20, 2))[-1]


def gradient(used: Prior, latent: torch.Tensor) -> torch.Tensor:
    """Of what is decoded and of how far the maps have moved, through two steps, in the latent."""
    timesteps, plain = levels(used, 20, 2), [used.unconditional] * 2
    with torch.no_grad():
        _, original = denoise_with_maps(used, latent, timesteps, plain)
    moved = (latent + 0.1).requires_grad_()
    clean, maps = denoise_with_maps(used, moved, timesteps, plain)
    (used.decode(clean).square().mean() + 1e4 * attention_distance(maps, original)).backward()
    assert moved.grad is not None
    return moved.grad


# A tiny network with random weights draws no faces: let it change what it likes.
FREE: dict[str, Any] = {
    "tail_average": 0,
    "structure": 0,
    "energy_weight": 100.0,
    "chroma": 0,
    "target_margin": 100,
    "ceiling": 255,
}


@pytest.mark.slow
def test_the_engine_hides_a_face(used: Prior, photo: Photo, crop: Crop) -> None:
    chosen = settings(
        prior=used.name,
        surrogates=("mobileface",),
        embedding_steps=2,
        steps=12,
        views=0,
        **FREE,
    )
    result = finish(protect(tracks_of(photo, [crop.face]), chosen))
    assert result.similarity[0]["mobileface"] < 0.85
    left, top, right, bottom = crop.placement.window(*photo.size)
    outside = np.ones(photo.pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(result.photo.pixels[outside], photo.pixels[outside])
    assert result.settings.prior == used.name


def test_the_empty_prompt_is_embedded_as_by_diffusers(folders: dict[str, Path], used: Prior) -> None:
    folder = Path(used.name.partition(":")[2])
    whole = StableDiffusionPipeline.from_pretrained(folder)
    expected, _ = whole.encode_prompt("", "cpu", 1, do_classifier_free_guidance=False)
    assert used.unconditional.shape == (1, TOKENS, WIDTH)
    torch.testing.assert_close(used.unconditional, expected)


def test_padding_is_that_of_the_folder(folders: dict[str, Path]) -> None:
    first, second = (stable_diffusion.embedding_of_nothing(folders[kind]) for kind in ("sd1", "sd2"))
    assert not torch.allclose(first[:, 2:], second[:, 2:])


def test_a_step_is_that_of_diffusers(used: Prior, crop: Crop) -> None:
    """Noise and velocity alike: one step down lands where diffusers' own sampler does."""
    scheduler: Any = DDIMScheduler.from_config(used.scheduler.config)
    scheduler.set_timesteps(20)
    latent = deepest(used, crop)
    with torch.no_grad():
        output = used.unet(latent, 101, used.unconditional).sample
        ours = ddim_step(used, latent, used.noise(latent, 101, used.unconditional), 101, 51)
    torch.testing.assert_close(ours, scheduler.step(output, 101, latent).prev_sample, rtol=1e-4, atol=1e-4)


def test_learned_embeddings_come_closer(used: Prior, crop: Crop) -> None:
    few = settings(prior=used.name, depth=2)
    assert (few.embedding_steps, few.embedding_rate) == (20, 0.1)
    timesteps = levels(used, few.schedule, few.depth)
    with torch.no_grad():
        trajectory = invert(used, used.encode(crop.pixels), timesteps)
        plain = denoise(used, trajectory[-1], timesteps, [used.unconditional] * 2)
    learned = finish(learn(used, trajectory, timesteps, 10, few.embedding_rate))
    with torch.no_grad():
        back = denoise(used, trajectory[-1], timesteps, learned)
    assert all(one.shape == used.unconditional.shape for one in learned)
    assert float((back - trajectory[0]).square().mean()) < float((plain - trajectory[0]).square().mean())


@pytest.mark.slow
@pytest.mark.parametrize(("size", "left_out"), [(64, 0), (256, 3)])
def test_structure_sees_every_layer_of_up_to_32_by_32_tokens(
    folders: dict[str, Path], photo: Photo, size: int, left_out: int
) -> None:
    used = prior(name(folders["sd2"]), size)
    crop = align_crop(photo.pixels, find_faces(photo.pixels)[0], used.template, used.size)
    layers = sum(part.endswith("attn1") for part, _ in used.unet.named_modules())
    latent, timesteps, plain = deepest(used, crop), levels(used, 20, 2), [used.unconditional] * 2
    with torch.no_grad():
        _, maps = denoise_with_maps(used, latent, timesteps, plain)
        _, moved = denoise_with_maps(used, latent + 0.1, timesteps, plain)
    assert layers == 7
    assert len(maps) == 2 * (layers - left_out)
    assert all(torch.allclose(one.sum(-1), torch.ones(())) for one in maps)
    assert float(attention_distance(maps, maps)) == 0
    assert float(attention_distance(moved, maps)) > 0


@pytest.mark.parametrize("offload", [False, True])
def test_saving_memory_changes_no_gradient(folders: dict[str, Path], crop: Crop, offload: bool) -> None:
    """Checkpointing computes maps again in the backward pass; offloading takes weights away before it."""
    plain = rebuilt(folders["sd2"], checkpoint=False)
    lean = rebuilt(folders["sd2"], checkpoint=True, offload=offload)
    assert all(one.is_meta for one in lean.unet.parameters()) == offload
    latent = deepest(plain, crop)
    torch.testing.assert_close(gradient(lean, latent), gradient(plain, latent))


@pytest.mark.slow
def test_a_unet_in_half_precision_works_to_the_end(
    folders: dict[str, Path], photo: Photo, crop: Crop
) -> None:
    used = rebuilt(folders["sd2"], torch.bfloat16)
    assert used.unet.dtype is torch.bfloat16
    chosen = settings(embedding_steps=2, steps=12, views=0, **FREE)
    (track,) = tracks_of(photo, [crop.face])
    subject = subject_of(track, lambda _: crop, [recognizer("mobileface")], chosen)
    change = finish(find_change(used, [subject], chosen))
    assert change.dtype is torch.float32
    after = subject.context.with_change(change)
    assert subject.objective.verdict(after, subject.context.face)[0]["mobileface"] < 0.85
    full = gradient(rebuilt(folders["sd2"]), deepest(used, crop))
    half = gradient(used, deepest(used, crop))
    assert float(torch.cosine_similarity(full.flatten(), half.flatten(), dim=0)) > 0.98


def test_a_closed_generator_leaves_the_prior_as_it_was(used: Prior, photo: Photo, crop: Crop) -> None:
    processors = used.unet.attn_processors
    weights = [tensor.clone() for tensor in used.unet.parameters()]
    work = protect(
        tracks_of(photo, [crop.face]),
        settings(prior=used.name, surrogates=("mobileface",), embedding_steps=1),
    )
    for step in work:
        if step.stage is Stage.PROTECTING:
            break
    work.close()
    assert used.unet.attn_processors == processors
    assert all(torch.equal(a, b) for a, b in zip(weights, used.unet.parameters(), strict=True))
    assert not any(tensor.requires_grad for tensor in used.unet.parameters())
    with recorded() as maps:
        pass
    deepest(used, crop)
    assert maps == []


def test_a_full_device_is_told(photo: Photo, crop: Crop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Optimisation, "advance", full)
    with pytest.raises(DeviceFull, match="cpu") as caught:
        finish(protect(tracks_of(photo, [crop.face]), settings(surrogates=("mobileface",), depth=0)))
    assert "--size 256" in caught.value.hint


def test_weights_are_offloaded_where_memory_is_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    assert not stable_diffusion.scarce(CPU, 1024)
    for free, sizes in ((3e9, [256, 512]), (7.5e9, [512]), (20e9, [])):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 24e9))
        assert [size for size in (256, 512) if stable_diffusion.scarce(gpu, size)] == sizes
    assert stable_diffusion.at_once(CPU, 512) == 1
    assert [stable_diffusion.at_once(gpu, size) for size in (256, 512, 768)] == [4, 3, 1]


@pytest.mark.parametrize("device", ["gpu", "cuda:77"])
def test_a_device_that_is_not_here_is_refused(device: str) -> None:
    with pytest.raises(BadSettings, match=device):
        prior("portrait", None, device)


def test_what_is_not_here_is_refused_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing, match="stable-diffusion-2-base") as caught:
        prior("stable-diffusion")
    assert "veil fetch stable-diffusion`" in caught.value.hint
    with pytest.raises(WeightsMissing, match="no folder"):
        prior("stable-diffusion:/no/such/folder")
    with pytest.raises(WeightsMissing, match="no complete model"):
        prior(f"stable-diffusion:{tmp_path}")


def test_an_incomplete_folder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["sd1"], folder)
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    for damage in (lambda: file.write_bytes(file.read_bytes()[:5000]), file.unlink):
        damage()
        with pytest.raises(WeightsCorrupt, match="Stable Diffusion"):
            prior(name(folder))


def test_sizes_and_kinds_that_do_not_fit_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(BadSettings, match="100 pixels"):
        prior(name(folders["sd1"]), 100)
    with pytest.raises(BadSettings, match="128 pixels only"):
        prior("portrait", 256)
    assert prior(name(folders["sd1"]), 128).size == 128
    scheduler: Any = DDIMScheduler(prediction_type="sample")
    with pytest.raises(BadSettings, match="sample"):
        stable_diffusion.build(
            "x", unet("sd1"), autoencoder(), scheduler, torch.zeros(1, TOKENS, WIDTH), None, CPU
        )
    inpainting = unet("sd1", in_channels=9)
    empty = torch.zeros(1, TOKENS, WIDTH)
    with pytest.raises(BadSettings, match="no plain"):
        stable_diffusion.build("x", inpainting, autoencoder(), DDIMScheduler(), empty, None, CPU)


def test_the_extra_is_asked_for(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BadSettings, match="transformers") as caught:
        stable_diffusion.embedding_of_nothing(folders["sd1"])
    assert ".[stable-diffusion]" in caught.value.hint
