"""What is not promised, of photos and of clips."""

from __future__ import annotations

_LIMITS = (
    "What this does not promise: the figures hold for the recognisers that veil asks, today. People may see "
    "a different person in the protected {what}: compare it side by side with the {what} before. Other "
    "recognisers, and later ones, may still know the face, no commercial service was asked, and a tracker "
    "that is retrained on protected pictures undoes most of this protection. Nothing here prevents face "
    "swapping or hides pictures that are known already; and people, names and places in the picture tell who "
    "you are. Take it as one layer of protection, not as a guarantee."
)
_WATCHED = (
    "What this does not promise: a machine that watches takes the best picture of many, and one in which the "
    "face was missed is enough. Voice, gait, hands, clothes and places tell who you are, too, and stay as "
    f"they are. And {_LIMITS.removeprefix('What this does not promise: ')}"
)
LIMITS, CLIP_LIMITS = _LIMITS.format(what="photo"), _WATCHED.format(what="clip")
LIMITS_OF = {"photo": LIMITS, "clip": CLIP_LIMITS, "file": _WATCHED.format(what="photo or clip")}
