"""The metadata that may be kept on request: nothing that holds a picture, or announces one that is gone."""

from __future__ import annotations

import re
from contextlib import suppress
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from PIL import ExifTags, Image

# The parts of EXIF that describe the photo. All others describe the file, or hide pictures of the face as it
# was: the thumbnail (a directory of its own) and the maker's notes.
BASE = ExifTags.Base
DESCRIPTIVE_TAGS = (
    *(BASE.ImageDescription, BASE.Make, BASE.Model, BASE.Software, BASE.DateTime, BASE.Artist),
    *(BASE.HostComputer, BASE.Copyright, BASE.XPTitle, BASE.XPComment, BASE.XPAuthor, BASE.XPKeywords),
)
UNWANTED_TAGS = (BASE.MakerNote, BASE.ExifImageWidth, BASE.ExifImageHeight, BASE.ExifInteroperabilityOffset)

# XMP that holds pictures, or announces parts of the file that are not written again.
PICTURES_IN_XMP = re.compile(rb"thumbnail|xmpGImg|GImage|GDepth|HasExtendedXMP", re.IGNORECASE)
GAIN_MAP = re.compile(rb"hdr-gain-map|HDRGainMap", re.IGNORECASE)  # Ultra HDR, Apple
VIDEO = re.compile(rb"MotionPhoto|MicroVideo", re.IGNORECASE)  # Google, Samsung
ANNOUNCEMENTS = re.compile(rb"hdr-gain-map|HDRGainMap|pixeldatainfo|google\.com/photos", re.IGNORECASE)


def keepable(image: Image.Image, texts: dict[str, str]) -> dict[str, bytes]:
    """What `keep_metadata` keeps of an upright image: "exif", "xmp" and texts by their keys, as bytes.

    Args:
        texts: the text chunks of a PNG.
    """
    found: dict[str, bytes] = {}
    with suppress(Exception):  # what cannot be read is not kept, and the photo is none the worse
        exif = _exif(image)
        if len(exif) > 1:
            found["exif"] = exif.tobytes()
    with suppress(Exception):
        if described := _described(xmp(image)):
            found["xmp"] = described
    comment = image.info.get("comment")
    if isinstance(comment, bytes):  # of a PNG it is one of the texts
        found["Comment"] = comment
    for key, text in texts.items():
        if not key.startswith(("Raw profile", "XML:")):  # EXIF and XMP in disguise
            found[key] = text.encode("utf-8", "replace")
    return found


def xmp(image: Image.Image) -> bytes:
    """The XMP packet of an image; empty where it has none."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)


def _exif(image: Image.Image) -> Image.Exif:
    """The describing part of the EXIF, with the orientation of an upright photo."""
    whole, exif = image.getexif(), Image.Exif()
    exif[BASE.Orientation] = 1
    for tag in DESCRIPTIVE_TAGS:
        if tag in whole:
            exif[tag] = whole[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = {tag: value for tag, value in whole.get_ifd(directory).items() if tag not in UNWANTED_TAGS}
        if entries:
            exif[directory] = entries
    return exif


def _described(packet: bytes) -> bytes:
    """XMP without what it says of parts that are gone; empty where it holds a picture or cannot be read."""
    if ANNOUNCEMENTS.search(packet):
        packet = _without_announcements(packet)
    return b"" if PICTURES_IN_XMP.search(packet) else packet


def _without_announcements(packet: bytes) -> bytes:
    """XMP whose elements and attributes from the name spaces of gain maps and motion photos are gone."""
    if b"<!" in packet:  # XMP declares no entities, which may grow without end
        return b""
    try:
        document = minidom.parseString(packet.strip(b"\0 \t\r\n"))
    except (ExpatError, ValueError, LookupError):
        return b""
    for element in document.getElementsByTagName("*"):
        if _announces(element.namespaceURI) and element.parentNode:
            element.parentNode.removeChild(element)
        for attribute in list(element.attributes.values()):
            declares = attribute.name.startswith("xmlns")
            if _announces(attribute.value if declares else attribute.namespaceURI):
                element.removeAttributeNode(attribute)
    return b"\n".join(node.toxml("utf-8") for node in document.childNodes)


def _announces(namespace: str | None) -> bool:
    return ANNOUNCEMENTS.search((namespace or "").encode()) is not None
