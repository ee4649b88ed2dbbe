"""The training recipe: a run that was cut goes on; the autoencoder starts from the linear transform."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from veil.privacy.priors.portrait import PortraitAutoencoder


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    file = Path(__file__).parents[1] / "weights" / "recipes" / "train_portrait.py"
    spec = spec_from_file_location("train_portrait", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def advance(recipe: ModuleType, file: Path, steps: int) -> torch.nn.Linear:
    """So many steps of a small session, which goes on from its file, saved at the end."""
    torch.manual_seed(0)
    session = recipe.Session(file, torch.nn.Linear(4, 4), 0.01, 0.9)
    for _ in range(steps):
        x = torch.randn(8, 4, generator=session.generator)
        session.advance((session.network(x) - x).square().mean(), 0.01)
    session.save()
    return session.average


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(recipe: ModuleType, tmp_path: Path) -> None:
    whole = advance(recipe, tmp_path / "whole.pt", 6)
    advance(recipe, tmp_path / "cut.pt", 4)
    resumed = advance(recipe, tmp_path / "cut.pt", 2)
    assert torch.equal(whole.weight, resumed.weight)
    assert not list(tmp_path.glob("*.part"))


def smooth(count: int) -> torch.Tensor:
    """Pictures (N, 3, 128, 128) in [0, 1] with more than eight directions of change in a patch."""
    coarse = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=128, mode="bicubic").clamp(0, 1)


def test_the_autoencoder_starts_as_a_principal_component_analysis(recipe: ModuleType) -> None:
    network, faces = PortraitAutoencoder(), smooth(8)
    recipe.start_linear(network, faces)
    with torch.no_grad():
        latent = network.encode(faces)
        error = float((network.decode(latent) - faces).square().mean())
    patches = torch.nn.functional.pixel_unshuffle(faces, 4).permute(0, 2, 3, 1).reshape(-1, 48).numpy()
    values = np.linalg.eigvalsh(np.cov(patches.T))
    assert latent.std((0, 2, 3)).numpy() == pytest.approx(1, abs=0.02)
    assert latent.mean((0, 2, 3)).numpy() == pytest.approx(0, abs=0.02)
    assert error == pytest.approx(values[:-8].sum() / 48, rel=0.02)


def test_the_grid_is_seen_where_there_is_one(recipe: ModuleType) -> None:
    blocks = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gridded = blocks.repeat_interleave(4, -1).repeat_interleave(4, -2)
    noise = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    assert float(recipe.grid(gridded)) > 2
    assert float(recipe.grid(noise)) < 0.2
