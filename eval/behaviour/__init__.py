"""What a person expresses, before and after: face, eyes, mouth, head, hands and body, in photos and clips.

Its networks are others than the engine's, but where a figure says so.
"""

from .comparison import compare
from .figures import BEHAVIOURS, Aspect, Behaviour, Figure

__all__ = ["BEHAVIOURS", "Aspect", "Behaviour", "Figure", "compare"]
