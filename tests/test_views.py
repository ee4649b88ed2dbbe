"""Views keep what matters, let gradients through, and come round."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import Generator

from veil.attacks.faces.detection import largest_face
from veil.attacks.losses import dodge, impersonate
from veil.attacks.views import VIEWS, View, draw, jittered
from veil.core.images import to_tensor


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return to_tensor(astronaut()[:150, 150:301])  # odd sizes on purpose


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_a_view_changes_a_little_and_is_differentiable(view: View, image: torch.Tensor) -> None:
    leaf = image.clone().requires_grad_()
    seen = view(leaf, Generator().manual_seed(0))
    seen.mean().backward()
    assert seen.shape == image.shape
    assert 0 < float((seen - image).abs().mean().detach()) < 0.1
    assert leaf.grad is not None
    assert float(leaf.grad.abs().sum()) > 0


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_a_view_repeats_with_its_seed(view: View, image: torch.Tensor) -> None:
    first, same, other = (view(image, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_all_kinds_take_turns_and_none_shows_the_image(image: torch.Tensor) -> None:
    face, generator = largest_face(astronaut()), Generator().manual_seed(0)
    for step in range(3):
        ((seen, where),) = draw(image, face, 0, step, generator)
        assert seen is image
        assert where is face
    kinds = 1 + len(VIEWS)
    for count in (1, 2, kinds):
        shown = [list(draw(image, face, count, step, generator)) for step in range(kinds)]
        assert {len(views) for views in shown} == {count}
        assert sum(seen is image for views in shown for seen, _ in views) == count
        assert shown[0][0][1] is face
    drawn = [torch.equal(next(draw(image, face, 1, step, generator))[0], image) for step in range(kinds)]
    assert drawn == [True, *[False] * len(VIEWS)]


def test_jitter_is_as_small_as_a_detector_strays() -> None:
    face = largest_face(astronaut())
    moved = jittered(face, Generator().manual_seed(0))
    eyes = np.linalg.norm(face.points[1] - face.points[0])
    assert 0 < np.abs(moved.points - face.points).max() < 0.1 * eyes


def test_losses_are_lowest_where_the_goal_is_met() -> None:
    cosines = torch.tensor([-1.0, 0.0, 1.0])
    assert dodge(cosines).argmin() == 0
    assert float(dodge(cosines, 0.5)[1]) == -0.5
    assert impersonate(cosines).argmin() == 2
