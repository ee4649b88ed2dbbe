"""A recogniser of one's own: any network that turns a crop of a face into a unit vector.

Here it is a small network that has learnt nothing. In the repository a recogniser is one file in
`attacks/recognizers/`, one line in `attacks.RECOGNIZERS`, and a card in `weights/cards.toml`, which says its
licence, its checksum and its thresholds (`veil calibrate FOLDER --recognizers NAME` measures them).
"""

import torch
from skimage.data import astronaut
from torch import nn

import veil
from veil.attacks.faces.transforms import ARCFACE, template_transform
from veil.attacks.recognizers.base import Network
from veil.core.images import to_tensor

torch.manual_seed(0)
network = nn.Sequential(
    *(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 64, 3, 2), nn.ReLU()),
    *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(1024, 128)),
).eval()
recognizer = Network(
    "mine",
    112,  # pixels: the side of its crop
    network,
    lambda face, size: template_transform(face, ARCFACE, size),  # where the five points lie in it
    mean=(127.5, 127.5, 127.5),
    scale=128,
)

photo = veil.open_photo(astronaut())
(face,) = veil.find_faces(photo)
image = to_tensor(photo.pixels)
crop = recognizer.align(image, face)
vector = recognizer.embed(crop)
print(f"crop {tuple(crop.shape)}, vector {tuple(vector.shape)} of length {float(vector.norm()):.3f}")

noisy = image.clone().requires_grad_()
similarity = (recognizer.embed(recognizer.align(noisy, face)) @ vector.detach().T).sum()
similarity.backward()
print(f"similarity to itself {similarity.item():.3f}")
print("gradients reach the photo:", bool(noisy.grad.abs().sum() > 0))
