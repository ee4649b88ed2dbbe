"""Protect a photo, and say both halves: do people still see the person, and do machines.

python examples/protect.py [PHOTO [RESULT]]
"""

import sys

from skimage.data import astronaut

import veil

photo, result = [*sys.argv[1:], *(astronaut(), "protected.jpg")[len(sys.argv) - 1 :]]
made = veil.protect(
    photo, strength="balanced", effort="quick", progress=lambda step: print(".", end="", flush=True)
)
report = made.save(result, replace=True)  # and its report, protected.json
print(f"\n{made}\n")
for face in report.faces:
    print(f"Face {face.number}: likeness {face.likeness:.3f}, PSNR {face.quality['psnr']:.1f} dB")
    for match in face.matches:
        known = "still knows it" if match.still_recognised else "does not know it any more"
        met = "" if match.used_by_attack == "yes" else " (which the protection has never met)"
        print(f"  {match.recognizer}{met} {known}: {match.after:.2f}, threshold {match.threshold:.2f}")
