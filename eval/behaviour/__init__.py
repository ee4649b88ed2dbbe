"""What a person expresses, before and after: face, eyes, mouth, head, hands and body, in photos and clips.

Its networks are others than the engine's, but where a figure says so.
"""

from .comparison import compare, compare_photos
from .figures import BEHAVIOURS, Aspect, Behaviour, Figure, Part

__all__ = ["BEHAVIOURS", "Aspect", "Behaviour", "Figure", "Part", "compare", "compare_photos"]
