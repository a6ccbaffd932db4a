"""Recognises files whose content does not match their suffix: pointers, web pages, archives, other formats."""

import re
from pathlib import Path

from dspdet3d_ros.errors import InputError

HEAD_BYTES = 512
_COMPRESSED = "is compressed ({}); uncompress it"
_OTHER_FORMAT = "is a {}; rename it to {}"
_CONVERT = "is a {}; convert it to .ply"

#: First bytes, the suffixes that begin with them, and what the file is.
_MAGIC = (
    (b"\x1f\x8b\x08", (), _COMPRESSED.format("gzip")),
    (b"BZh", (), _COMPRESSED.format("bzip2")),
    (b"\xfd7zXZ\x00", (), _COMPRESSED.format("xz")),
    (b"\x28\xb5\x2f\xfd", (), _COMPRESSED.format("zstd")),
    (b"7z\xbc\xaf\x27\x1c", (), _COMPRESSED.format("7z")),
    (b"PK\x03\x04", (".npz",), "is a zip archive; uncompress it, or rename it to .npz if numpy wrote it"),
    (b"\x93NUMPY", (".npy",), _OTHER_FORMAT.format("numpy array", ".npy")),
    (b"# .PCD", (".pcd",), _OTHER_FORMAT.format("PCD file", ".pcd")),
    (b"\x89HDF\r\n", (), _CONVERT.format("HDF5 file")),
    (b"LASF", (".las", ".laz"), _OTHER_FORMAT.format("LAS or LAZ file", ".las or .laz")),
    (b"ASTM-E57", (".e57",), _OTHER_FORMAT.format("E57 file", ".e57")),
    (b"glTF", (".glb",), _OTHER_FORMAT.format("binary glTF file", ".glb")),
    (b"#ROSBAG V2.0", (), "is a ROS bag; export one cloud from it"),
)
_PLY = re.compile(rb"(\xef\xbb\xbf)?ply\s", re.I)
_WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml|error)", re.I)


def check_content(path: Path) -> None:
    """Refuses a file whose first bytes show that its content does not match its suffix.

    Raises:
        InputError: says what the file is and what to do; the text does not name the file.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise InputError("is empty (0 bytes); write or copy it again")
    if head.startswith((b"version https://git-lfs", b"version https://hawser")):
        raise InputError("is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository")
    if b"/annex/objects/" in head[:200]:
        raise InputError("is a git-annex pointer, not the file itself; run `git annex get` in its repository")
    if _WEB_PAGE.match(head):
        raise InputError("is a web page or a server's error message, not a cloud; download the file itself")
    if suffix != ".ply" and _PLY.match(head):
        raise InputError(_OTHER_FORMAT.format("PLY file", ".ply"))
    for magic, suffixes, text in _MAGIC:
        if head.startswith(magic) and suffix not in suffixes:
            raise InputError(text)
