"""FaceNet (Schroff et al., arXiv:1503.03832), the Inception-ResNet v1 of facenet-pytorch; not packaged."""

from __future__ import annotations

from facenet_pytorch import InceptionResnetV1

from ...weights.registry import card
from ..faces.transforms import box_transform
from .base import Network, load_network

MARGIN = 0.05  # of the box, on each side, as in the evaluation of facenet-pytorch


def load(model: str) -> Network:
    """The network trained on "vggface2" (the default) or "casia-webface"."""
    name = card(f"facenet:{model}").name
    return Network(
        name,
        160,
        load_network(name, InceptionResnetV1()),
        lambda face, size: box_transform(face.box, MARGIN, size, face.turn),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
