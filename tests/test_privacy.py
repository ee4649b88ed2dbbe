"""The engine: each of its parts does what its equation says, and all of them together hide a face."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from veil.attacks import Recognizer, attacked, recognizer
from veil.attacks.ensemble import Ensemble, person_embedding, person_embeddings
from veil.attacks.faces.detection import find_faces
from veil.attacks.faces.transforms import inverse
from veil.core.errors import BadSettings, UnknownName
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Item, Photo, Sighting, Stage, Step, Track, tracks_of
from veil.eval.metrics.psnr import psnr
from veil.privacy import Protected, engine, protect
from veil.privacy.embeddings import learn
from veil.privacy.engine import invert_faces, subject_of
from veil.privacy.face_context import Crop, align_crop, context_of
from veil.privacy.inversion import ddim_step, denoise, invert, levels
from veil.privacy.latent import Optimisation, channel_scale
from veil.privacy.paste import feather, paste
from veil.privacy.placement import Placement
from veil.privacy.priors import PRIORS, Prior, prior
from veil.privacy.settings import EFFORTS, PAPER, SECONDS, STRENGTHS, Settings, settings
from veil.privacy.structure import attention_distance, denoise_with_maps
from veil.privacy.subject import Subject
from veil.weights.registry import card

QUICK: dict[str, Any] = {"surrogates": ("mobileface",), "embedding_steps": 1}


@pytest.fixture(scope="module")
def photo() -> Photo:
    return Photo(astronaut(), "astronaut.png")


@pytest.fixture(scope="module")
def portrait() -> Prior:
    return prior("portrait")


@pytest.fixture(scope="module")
def crop(photo: Photo, portrait: Prior) -> Crop:
    return align_crop(photo.pixels, find_faces(photo.pixels)[0], portrait.template, portrait.size)


def subject(photo: Photo, crop: Crop, chosen: Settings, name: str = "mobileface") -> Subject:
    """The face of a crop, which one recogniser knows."""
    (track,) = tracks_of(photo, [crop.face])
    return subject_of(track, lambda _: crop, [recognizer(name)], chosen)


@pytest.fixture(scope="module")
def trajectory(portrait: Prior, crop: Crop) -> list[torch.Tensor]:
    with torch.no_grad():
        return invert(portrait, portrait.encode(crop.pixels), levels(portrait, 20, 3))


@pytest.mark.parametrize("name", [name for name in PRIORS if card(name).packaged])
def test_a_prior_gives_a_face_back_and_its_null_embedding_matters(name: str, crop: Crop) -> None:
    used = prior(name)
    with torch.no_grad():
        latent = used.encode(crop.pixels)
        assert psnr(used.decode(latent), crop.pixels) > 35
        assert 0.3 < float(latent.std()) < 3
        noise = used.noise(latent, 101, used.unconditional)
        other = used.noise(latent, 101, used.unconditional + 1)
    assert noise.shape == latent.shape
    assert float((noise - other).square().mean()) > 1e-4


def test_levels_are_those_of_the_paper(portrait: Prior) -> None:
    assert levels(portrait, 20, 3) == (0, 51, 101, 151)
    assert levels(portrait, 20, 0) == (0,)


def test_a_move_up_is_undone_by_the_same_move_down(portrait: Prior) -> None:
    latent, noise = torch.randn(2, 1, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    up = ddim_step(portrait, latent, noise, 0, 151)
    assert torch.allclose(ddim_step(portrait, up, noise, 151, 0), latent, atol=1e-4)


@pytest.mark.slow
def test_learned_embeddings_weaken_the_purification(
    portrait: Prior, crop: Crop, trajectory: list[torch.Tensor]
) -> None:
    timesteps = levels(portrait, 20, 3)
    learned = finish(learn(portrait, trajectory, timesteps, 10, 0.3))
    with torch.no_grad():
        plain = denoise(portrait, trajectory[-1], timesteps, [portrait.unconditional] * 3)
        back = denoise(portrait, trajectory[-1], timesteps, learned)
    error = (back - trajectory[0]).square().mean()
    assert float(error) < 0.8 * float((plain - trajectory[0]).square().mean())
    assert psnr(portrait.decode(back), crop.pixels) > 34.5


def test_structure_sees_every_self_attention_layer_and_every_step(
    portrait: Prior, trajectory: list[torch.Tensor]
) -> None:
    timesteps, plain = levels(portrait, 20, 3), [portrait.unconditional] * 3
    with torch.no_grad():
        _, maps = denoise_with_maps(portrait, trajectory[-1], timesteps, plain)
        _, moved = denoise_with_maps(portrait, trajectory[-1] + 0.1, timesteps, plain)
    layers = sum(name.endswith("attn1") for name, _ in portrait.unet.named_modules())
    assert layers > 0
    assert len(maps) == 3 * layers
    assert all(torch.allclose(one.sum(-1), torch.ones(())) for one in maps)
    assert float(attention_distance(maps, maps)) == 0
    assert float(attention_distance(moved, maps)) > 0


def test_capturing_maps_changes_nothing_else(portrait: Prior, trajectory: list[torch.Tensor]) -> None:
    timesteps, plain = levels(portrait, 20, 3), [portrait.unconditional] * 3
    before = portrait.unet.attn_processors
    with torch.no_grad():
        captured, _ = denoise_with_maps(portrait, trajectory[-1], timesteps, plain)
        assert torch.allclose(captured, denoise(portrait, trajectory[-1], timesteps, plain), atol=1e-4)
    assert portrait.unet.attn_processors == before


def test_a_change_is_blended_in_and_nothing_outside_moves(photo: Photo, crop: Crop) -> None:
    size = crop.pixels.shape[-1]
    result = paste(photo.pixels, torch.full((1, 3, size, size), 0.1), crop.placement)
    left, top, right, bottom = crop.placement.window(*photo.size)
    outside = np.ones(photo.pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert np.array_equal(result[outside], photo.pixels[outside])
    middle = crop.face.points.mean(0).round().astype(int)
    step = result[middle[1], middle[0]].astype(int) - photo.pixels[middle[1], middle[0]]
    assert np.all(np.abs(step - 25.5) <= 1)
    assert np.array_equal(paste(photo.pixels, torch.zeros(1, 3, size, size), crop.placement), photo.pixels)


@pytest.mark.parametrize("corner", [(-20.0, 30.0), (50.0, 41.5)])
def test_a_change_lies_in_an_image_where_its_crop_does(corner: tuple[float, float]) -> None:
    """A change whose values are its coordinates, turned and enlarged, partly outside of a larger image."""
    rows, columns = np.mgrid[0:32, 0:32]
    change = torch.from_numpy(np.stack([columns, rows])[None] + 100.0)
    matrix = np.array([[1.2, -0.5, corner[0]], [0.5, 1.2, corner[1]]])
    layer = Placement(matrix, 32).warp_into(change, 90, 71)[0].numpy()
    assert layer.shape == (2, 71, 90)
    back = inverse(matrix)
    places = np.stack(np.meshgrid(np.arange(90), np.arange(71)), -1) @ back[:, :2].T + back[:, 2]
    inside, outside = ((np.abs(places - 15.5) < reach).all(-1) for reach in (13.5, 18.5))
    assert inside.sum() > 200
    assert np.abs(np.moveaxis(layer, 0, -1) - 100 - places)[inside].max() < 0.1
    assert np.all(layer[:, ~outside] == 0)


def test_a_grey_photo_stays_grey(photo: Photo, crop: Crop) -> None:
    grey = np.repeat(photo.pixels[..., :1], 3, axis=2)
    change = torch.randn(crop.pixels.shape, generator=torch.Generator().manual_seed(0)) / 10
    result = paste(grey, change, crop.placement, grey=True)
    assert not np.array_equal(result, grey)
    assert np.array_equal(result[..., 0], result[..., 1])
    assert np.array_equal(result[..., 0], result[..., 2])


def test_a_grey_photo_is_optimised_as_it_is_written(photo: Photo, portrait: Prior) -> None:
    """The objective looks at the very photo that is written, and colour that is not written costs nothing."""
    grey = replace(photo, pixels=np.repeat(photo.pixels[..., 1:2], 3, axis=2), grey=True)
    crop = align_crop(grey.pixels, find_faces(grey.pixels)[0], portrait.template, portrait.size)
    one = subject(grey, crop, settings(**QUICK))
    begin = finish(invert_faces(portrait, crop.pixels, settings(**QUICK)))
    work = Optimisation(portrait, begin, settings(**QUICK), [one], begin.reconstruction)
    with torch.no_grad():
        change, _ = work.change(0.2 * torch.randn_like(begin.latent))
    assert float(change.abs().max()) > 0.02
    assert torch.equal(change[:, 0], change[:, 2])
    coloured = 0.3 * torch.randn(crop.pixels.shape, generator=torch.Generator().manual_seed(0))
    written = context_of(crop, paste(grey.pixels, coloured, crop.placement, grey=True)).image
    assert (one.context.with_change(coloured) - written).square().mean().sqrt() < 2 / 255


def test_the_blend_mask_is_closed_at_the_border_and_open_inside() -> None:
    mask = feather(128)[0, 0]
    assert float(mask[:2].max()) == 0
    assert float(mask[:, -2:].max()) == 0
    assert float(mask[20:-20, 20:-20].min()) == 1


def test_the_context_shows_the_face_where_it_says(photo: Photo, portrait: Prior) -> None:
    large = np.asarray(photo.pixels.repeat(6, 0).repeat(6, 1))
    face = find_faces(photo.pixels)[0].transformed(6, 2.5, 2.5)
    context = context_of(align_crop(large, face, portrait.template, portrait.size), large)
    assert max(context.image.shape) < 600
    one = recognizer("mobilefacenet")
    a = one.embed(one.align(context.image, context.face))
    b = one.embed(one.align(to_tensor(photo.pixels), find_faces(photo.pixels)[0]))
    assert float(a @ b.T) > 0.97


def test_the_ensemble_starts_at_the_person_and_has_a_gradient(photo: Photo, crop: Crop) -> None:
    context = context_of(crop, photo.pixels)
    both = [recognizer("dlib"), recognizer("mobileface")]
    objective = Ensemble(both, person_embeddings(both, [(context.image, context.face)]), views=3)
    image = context.image.clone().requires_grad_()
    loss = objective(image, context.face)
    loss.sum().backward()
    assert loss.shape == (1,)
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 0
    assert objective.verdict(context.image, context.face)[0] == pytest.approx(
        {"dlib": 1, "mobileface": 1}, abs=0.05
    )


def test_surrogates_are_weighted_by_how_far_they_are_fooled(photo: Photo, crop: Crop) -> None:
    """In proportion to exp(-bias * loss), 1 on average; in the gradient too."""
    context = context_of(crop, photo.pixels)
    mixed = 0.7 * context.image + 0.3 * context.image.flip(-2)
    both = [recognizer("dlib"), recognizer("mobileface")]

    def pull(surrogates: Sequence[Recognizer], bias: float) -> tuple[float, torch.Tensor]:
        image = mixed.clone().requires_grad_()
        own = person_embeddings(surrogates, [(context.image, context.face)])
        loss = Ensemble(surrogates, own, easy_surrogate_bias=bias)(image, context.face)
        return float(loss.detach()), torch.autograd.grad(loss, image)[0]

    (first, one), (second, other) = (pull([each], 0.0) for each in both)
    assert abs(first - second) > 0.5
    for bias in (0.0, 0.5, -0.5):
        shares = torch.softmax(-bias * torch.tensor([first, second]), 0) * 2
        loss, gradient = pull(both, bias)
        assert loss == pytest.approx(float(shares @ torch.tensor([first, second])), abs=1e-3)
        assert torch.allclose(gradient, shares[0] * one + shares[1] * other, atol=1e-4)
        assert (loss < first + second - 0.01) == (bias > 0)


@pytest.mark.slow
def test_the_result_is_the_mean_of_the_last_latents(photo: Photo, crop: Crop, portrait: Prior) -> None:
    chosen = settings(steps=5, tail_average=0.6, embedding_steps=1, ceiling=255)
    begin = finish(invert_faces(portrait, crop.pixels, chosen))
    work = Optimisation(portrait, begin, chosen, [subject(photo, crop, chosen)], begin.reconstruction)
    passed: list[torch.Tensor] = []
    for _ in range(5):
        work.advance()
        passed.append(work.delta.detach().clone())
    with torch.no_grad():
        expected, _ = work.change(torch.stack(passed[2:]).mean(0))
        last, _ = work.change(passed[-1])
    assert torch.allclose(work.result(), expected, atol=1e-5)
    assert not torch.allclose(work.result(), last, atol=1e-3)


@pytest.mark.slow
def test_an_unseen_recogniser_loses_the_face(photo: Photo) -> None:
    """The main job, in full: `strong`, on the recogniser left out, which compares with the same photo."""
    faces = find_faces(photo.pixels)
    steps: list[Stage] = []
    chosen = settings("strong", surrogates=attacked("faceplugin"))
    result = finish(protect(tracks_of(photo, faces[:1]), chosen), lambda step: steps.append(step.stage))
    after = find_faces(result.photo.pixels)[0]
    unseen = recognizer("faceplugin")
    assert unseen.name not in result.settings.surrogates
    embeddings = [
        unseen.embed(unseen.align(to_tensor(pixels), face))
        for pixels, face in ((photo.pixels, faces[0]), (result.photo.pixels, after))
    ]
    cosine = float(embeddings[0] @ embeddings[1].T)
    assert cosine < card(unseen.name).thresholds["far1"]
    assert set(steps) == {Stage.LEARNING_EMBEDDINGS, Stage.PROTECTING}
    error = (result.photo.pixels.astype(float) - photo.pixels) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 33.5
    changed = np.argwhere((result.photo.pixels != photo.pixels).any(-1))
    box = faces[0].box.reshape(2, 2)
    reach = 0.8 * faces[0].side
    assert np.all(changed.min(0)[::-1] > box[0] - reach)
    assert np.all(changed.max(0)[::-1] < box[1] + reach)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_photo(photo: Photo) -> None:
    faces, few = (
        find_faces(photo.pixels)[:1],
        settings(**QUICK, steps=2),
    )
    first, again = (finish(protect(tracks_of(photo, faces), few)).photo.pixels for _ in range(2))
    other = finish(protect(tracks_of(photo, faces), few.model_copy(update={"seed": 1}))).photo.pixels
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_channels_are_scaled_by_how_much_of_them_is_seen(portrait: Prior, crop: Crop) -> None:
    begin = finish(invert_faces(portrait, crop.pixels, settings(embedding_steps=0)))
    scale = channel_scale(portrait, begin)
    assert float(scale.log().mean()) == pytest.approx(0, abs=1e-5)
    seen: list[float] = []
    step = 0.1 * torch.randn(begin.clean.shape[-2:], generator=torch.Generator().manual_seed(7))
    for channel in range(scale.shape[1]):
        moved = begin.clean.clone()
        moved[:, channel] += scale[0, channel] * step
        with torch.no_grad():
            seen.append(float((portrait.decode(moved) - begin.reconstruction).square().mean().sqrt()))
    assert max(seen) < 2 * min(seen)  # five times without


@pytest.mark.slow
def test_no_change_exceeds_its_ceiling(portrait: Prior, photo: Photo, crop: Crop) -> None:
    def size(ceiling: float) -> float:
        chosen = settings(**QUICK, steps=8, ceiling=ceiling)
        result = finish(protect(tracks_of(photo, [crop.face]), chosen)).photo
        change = align_crop(result.pixels, crop.face, portrait.template, portrait.size).pixels - crop.pixels
        return 255 * float((feather(portrait.size) * change).square().mean().sqrt())

    assert size(0.5) < 0.6
    assert size(100.0) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "limited"), [({"ceiling": 0.2}, True), ({"ceiling": 50.0}, False)])
def test_why_a_face_is_still_known_is_told(photo: Photo, changes: dict[str, float], limited: bool) -> None:
    """A few steps reach a low ceiling, and are too few for a high one."""
    faces = find_faces(photo.pixels)[:1]
    result = finish(protect(tracks_of(photo, faces), settings(**QUICK, steps=6, **changes)))
    assert result.worst_margins[0] < 0
    assert (result.limited, result.unfinished) == (((0,), ()) if limited else ((), (0,)))
    assert result.sizes[0] <= 1.001


def test_a_closed_generator_leaves_the_networks_as_they_were(photo: Photo, portrait: Prior) -> None:
    processors = portrait.unet.attn_processors
    weights = [tensor.clone() for tensor in portrait.unet.parameters()]
    work = protect(tracks_of(photo, find_faces(photo.pixels)[:1]), settings(**QUICK))
    for step in work:
        if step.stage is Stage.PROTECTING:
            break
    work.close()
    assert torch.is_grad_enabled()
    assert portrait.unet.attn_processors == processors
    assert all(torch.equal(a, b) for a, b in zip(weights, portrait.unet.parameters(), strict=True))
    assert not any(tensor.requires_grad for tensor in portrait.unet.parameters())


@pytest.mark.slow
def test_impersonation_moves_towards_the_target(photo: Photo) -> None:
    from insightface.data import get_image

    group = Photo(np.ascontiguousarray(get_image("t1")[:, :, ::-1]), "t1.jpg")
    target = find_faces(group.pixels)[0]
    face = find_faces(photo.pixels)[0]
    chosen = settings(
        **QUICK, goal="impersonate", steps=8, energy_weight=100.0, penalty_scale=1.0, ceiling=4.8
    )
    result = finish(protect(tracks_of(photo, [face]), chosen, Sighting(group, target))).photo.pixels
    one = recognizer("mobileface")
    them, before, after = (
        one.embed(one.align(to_tensor(pixels), where))
        for pixels, where in ((group.pixels, target), (photo.pixels, face), (result, face))
    )
    assert float(after @ them.T) > float(before @ them.T) + 0.2


@pytest.mark.slow
def test_faces_taken_together_come_out_as_one_after_the_other(
    portrait: Prior, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insightface.data import get_image

    group = Photo(np.ascontiguousarray(get_image("t1")[:, :, ::-1]), "t1.jpg")
    faces, few = find_faces(group.pixels)[:3], settings(**QUICK, steps=3, ceiling=2.0)
    items: list[set[Item | None]] = []
    results: list[Protected] = []
    for batch in (1, 2):
        monkeypatch.setattr(engine, "prior", lambda *_, batch=batch: replace(portrait, batch=batch))
        seen: list[Step] = []
        results.append(finish(protect(tracks_of(group, faces), few), seen.append))
        items.append({step.item for step in seen})
        assert all(step.preview is not None for step in seen if step.stage is Stage.PROTECTING)
    assert items == [{Item(n, n, 3) for n in (1, 2, 3)}, {Item(1, 2, 3), Item(3, 3, 3)}]
    one, two = (result.photo.pixels.astype(int) for result in results)
    assert np.abs(one - group.pixels).max() > 3
    assert np.abs(one - two).max() <= 1
    assert results[1].worst_margins == pytest.approx(results[0].worst_margins, abs=0.05)


@pytest.mark.slow
def test_overlapping_faces_are_judged_on_the_final_pixels(photo: Photo, portrait: Prior) -> None:
    first = find_faces(photo.pixels)[0]
    faces = [first, first.transformed(1, 25, 10)]
    result = finish(protect(tracks_of(photo, faces), settings(**QUICK, steps=4, ceiling=4.0)))
    for face, alike in zip(faces, result.similarity, strict=True):
        crop = align_crop(photo.pixels, face, portrait.template, portrait.size)
        after = context_of(crop, result.photo.pixels)
        left, _ = subject(photo, crop, result.settings).objective.verdict(after.image, after.face)
        assert alike == pytest.approx(left, abs=1e-4)


def again(photo: Photo, face: Face) -> tuple[Photo, Face]:
    """The next frame: twice as large, darker, and its corner cut off."""
    pixels = np.ascontiguousarray((photo.pixels[9:, 7:] * 0.8).astype(np.uint8).repeat(2, 0).repeat(2, 1))
    return replace(photo, pixels=pixels), face.transformed(2, 0.5 - 14, 0.5 - 18)


@pytest.mark.parametrize("method", ["veil", "pgd"])
def test_one_change_hides_a_person_in_every_frame_of_a_track(photo: Photo, method: str) -> None:
    face = find_faces(photo.pixels)[0]
    frame, there = again(photo, face)
    track = Track((Sighting(photo, face), Sighting(frame, there)))
    chosen = settings("strong", method=method, surrogates=("mobileface",), embedding_steps=1, steps=12)
    result = finish(protect([track], chosen))
    one = recognizer("mobileface")
    own = person_embedding(one, [(to_tensor(photo.pixels), face), (to_tensor(frame.pixels), there)])
    cosines: list[float] = []
    for before, after, where in zip((photo, frame), result.frames, (face, there), strict=True):
        assert after.size == before.size
        clean, left = (
            float(one.embed(one.align(to_tensor(pixels), where))[0] @ own)
            for pixels in (before.pixels, after.pixels)
        )
        assert clean > 0.95
        assert left < 0.75
        cosines.append(left)
    assert result.similarity[0]["mobileface"] == pytest.approx(max(cosines), abs=0.05)
    assert len(result.worst_margins) == len(result.sizes) == 1


@pytest.mark.parametrize("depth", [0, 1])
def test_other_depths_work(photo: Photo, depth: int) -> None:
    chosen = settings(**QUICK, depth=depth, steps=2, views=0)
    result = finish(protect(tracks_of(photo, find_faces(photo.pixels)[:1]), chosen))
    assert not np.array_equal(result.photo.pixels, photo.pixels)


@pytest.mark.slow
def test_the_papers_preset_replaces_the_face(photo: Photo) -> None:
    """Its plain output shows what the prior alone does to the face: after one step it is not the photo's."""
    faces = find_faces(photo.pixels)[:1]
    tiny = {"steps": 1, "learning_rate": 1e-6, **QUICK}
    plain, composed = (
        finish(protect(tracks_of(photo, faces), settings(name, **tiny))) for name in ("paper", "balanced")
    )
    assert np.abs(composed.photo.pixels.astype(int) - photo.pixels).max() <= 1
    assert np.abs(plain.photo.pixels.astype(int) - photo.pixels).max() > 5


def test_the_reconstruction_alone_is_still_the_person(photo: Photo, portrait: Prior, crop: Crop) -> None:
    begin = finish(invert_faces(portrait, crop.pixels, settings()))
    result = paste(photo.pixels, begin.reconstruction - crop.pixels, crop.placement)
    after = context_of(crop, result)
    objective = subject(photo, crop, settings(), "mobilefacenet").objective
    assert objective.verdict(after.image, after.face)[0]["mobilefacenet"] > 0.8


def test_settings_refuse_what_does_not_fit() -> None:
    assert {name: settings(name).penalty_scale for name in STRENGTHS}["strong"] < settings(
        "subtle"
    ).penalty_scale
    with pytest.raises(BadSettings, match="strength"):
        settings("enormous")
    with pytest.raises(BadSettings, match="effort") as error:
        settings(effort="enormous")
    assert all(name in error.value.hint for name in EFFORTS)
    with pytest.raises(BadSettings, match="steps"):
        settings(steps=0)
    with pytest.raises(BadSettings, match="surrogates"):
        settings(surrogates=())
    for schedule, depth in ((7, 7), (20, 20), (501, 1)):
        with pytest.raises(BadSettings, match="depth|schedule"):
            settings(schedule=schedule, depth=depth)


@pytest.mark.parametrize("schedule", [2, 7, 20, 333, 500])
def test_every_depth_that_is_allowed_has_its_timestep(portrait: Prior, schedule: int) -> None:
    deepest = settings(schedule=schedule, depth=schedule - 1)
    assert portrait.alpha_bar(levels(portrait, schedule, deepest.depth)[-1]) > 0


def test_an_effort_is_how_many_steps_are_taken() -> None:
    assert settings() == settings("balanced", "normal") == Settings()
    for strength in STRENGTHS:
        steps = [settings(strength, effort).steps for effort in ("quick", "normal", "thorough")]
        assert steps == [18, 60, 180]
    assert {settings("paper", effort).steps for effort in EFFORTS} == {PAPER["steps"]}
    assert settings(effort="thorough", steps=7).steps == 7
    assert list(SECONDS) == list(EFFORTS)


def test_a_target_belongs_to_impersonation_alone(photo: Photo) -> None:
    face = find_faces(photo.pixels)[0]
    with pytest.raises(BadSettings, match="target"):
        finish(protect(tracks_of(photo, [face]), settings(goal="impersonate")))
    with pytest.raises(UnknownName, match="prior"):
        finish(protect(tracks_of(photo, [face]), settings(prior="landscape")))
