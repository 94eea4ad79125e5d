#!/bin/bash
# Pillow 13.0.0: an opened TIFF already has its upright size, while its EXIF still says that it has to be turned.
#
# Seen: of a 40x30 picture stored with orientation 6, JPEG, PNG and WebP open as 40x30 with orientation 6, but TIFF opens
# as 30x40 with orientation 6; only load() takes the note off. A loader that reads size and orientation before decoding,
# as the other formats need it (exchange the sides for 5 to 8), gets a TIFF's size wrong, and with it every box in
# fractions or thousandths. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pillow==13.0.0"
"$folder/venv/bin/python" - <<'PY'
import io

from PIL import Image

seen = {}
for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
    note = Image.Exif()
    note[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, kind, exif=note)
    with Image.open(io.BytesIO(file.getvalue())) as image:
        opened = (image.size, image.getexif().get(0x0112))
        image.load()
        seen[kind] = (opened, (image.size, image.getexif().get(0x0112)))
    print(f"{kind}: opened {opened}, loaded {seen[kind][1]}")
assert all(seen[kind] == (((40, 30), 6), ((40, 30), 6)) for kind in ("JPEG", "PNG", "WEBP")), seen
assert seen["TIFF"] == (((30, 40), 6), ((30, 40), None)), seen
PY
