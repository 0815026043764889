"""Open real files of microscopes through reader plugins, as docs/formats.md tells a user to.

Run `python scripts/check_readers.py [--work FOLDER]`. It makes an environment of its own with the
extra `[readers]`, which takes some gigabytes and minutes; takes small real files out of packages
on PyPI, and lets Zeiss's own library write a CZI; embeds each with the command line; and compares
the pixels with those that another library reads. It prints a row for each file, and the exit
status is 1 if one is not read as it should be. Of Leica no package has a file, and no library
writes one: a small LIF is written here, by what liffile knows of the format.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

LIBRARIES = ("pylibCZIrw", "nd2", "liffile", "mrc")
"""What the pixels are compared with, beside what the extra brings."""


@dataclass(frozen=True)
class Sample:
    """A file of a microscope.

    Attributes
    ----------
    package, member : str
        The sdist on PyPI it comes from, and the end of its name in there.
    truth : str
        Python that reads `path` into an array.
    """

    package: str
    member: str
    truth: str

    @property
    def name(self) -> str:
        """Its own name."""
        return self.member.rpartition("/")[2]


SAMPLES = (
    Sample("pims-nd2==1.1", "cluster.nd2", "import nd2; found = nd2.imread(path)"),
    Sample("napari-dv==0.2.5", "toxo.dv", "import mrc; found = mrc.imread(path)"),
)

WRITE_CZI = """
import sys
import numpy as np
from pylibCZIrw import czi

image = np.random.default_rng(0).integers(0, 4000, (3, 2, 48, 64)).astype("u2")
with czi.create_czi(sys.argv[1]) as file:
    for z, planes in enumerate(image):
        for c, plane in enumerate(planes):
            file.write(plane[..., None], plane={"T": 0, "Z": z, "C": c})
    file.write_metadata("made", scale_x=3e-7, scale_y=3e-7, scale_z=1e-6)
"""

READ_CZI = """
from pylibCZIrw import czi
with czi.open_czi(path) as file:
    found = [file.read(plane={"T": 0, "Z": z, "C": c})[..., 0] for z in range(3) for c in (0, 1)]
"""

WRITE_LIF = """
import struct
import sys
import numpy as np

image = np.random.default_rng(0).integers(0, 255, (2, 3, 48, 64)).astype("u1")
channels = "".join(
    f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" '
    f'Min="0" Max="255" Unit="" LUTName="{name}" IsLUTInverted="0" '
    f'BytesInc="{number * image[0].nbytes}" BitInc="0"/>'
    for number, name in enumerate(("Red", "Green"))
)
sizes = "".join(
    f'<DimensionDescription DimID="{axis}" NumberOfElements="{count}" Origin="0" '
    f'Length="{(count - 1) * 3e-7}" Unit="m" BitInc="0" BytesInc="{step}"/>'
    for axis, count, step in ((1, 64, 1), (2, 48, 64), (3, 3, 64 * 48))
)
about = (
    '<LMSDataContainerHeader Version="2"><Element Name="made.lif"><Data><Experiment '
    'Path="made.lif"/></Data><Memory Size="0" MemoryBlockID="MemBlock_0"/><Children>'
    '<Element Name="Series001"><Data><Image><ImageDescription>'
    f"<Channels>{channels}</Channels><Dimensions>{sizes}</Dimensions>"
    f'</ImageDescription></Image></Data><Memory Size="{image.nbytes}" MemoryBlockID="MemBlock_1"/>'
    "<Children/></Element></Children></Element></LMSDataContainerHeader>"
)


def text(content):
    return struct.pack("<BI", 0x2A, len(content)) + content.encode("utf-16-le")


def block(content):
    return struct.pack("<II", 0x70, len(content)) + content


with open(sys.argv[1], "wb") as file:
    file.write(block(text(about)))
    for name, content in (("MemBlock_0", b""), ("MemBlock_1", image.tobytes())):
        file.write(block(struct.pack("<BQ", 0x2A, len(content)) + text(name)) + content)
"""

MADE = {
    "made.czi": (WRITE_CZI, READ_CZI),
    "made.lif": (WRITE_LIF, "import liffile; found = liffile.imread(path)"),
}
"""Files that are written here: how, and how another library reads them."""

COMPARE = """
import sys
from pathlib import Path
import numpy as np
from napari_dinov3_sim.cli.reading.open_file import OpenFile

path, truth = sys.argv[1:]
exec(truth)
found = np.asarray(found)


def planes(image):
    return sorted(plane.tobytes() for plane in image.reshape(-1, *image.shape[-2:]))


with OpenFile(Path(path)) as file:
    mine = [plane for layer in file.layers for plane in planes(np.asarray(layer.data))]
print(len(mine), "planes,", "the same" if sorted(mine) == planes(found) else "OTHER PIXELS")
"""


def main() -> int:
    """Make the environment, and open all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, help="keep the environment here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="readers-") as folder:
        work = options.work or Path(folder)
        bin_ = work.resolve() / ("Scripts" if os.name == "nt" else "bin")
        wanted: tuple[object, ...] = ("--no-deps", "--force-reinstall", ROOT)
        if not bin_.exists():
            run(sys.executable, "-m", "venv", work)
            wanted = (f"{ROOT}[readers]", *LIBRARIES)
        print(run(bin_ / "python", "-m", "pip", "install", "-q", *wanted), end="")
        return check(bin_, Path(folder))


def run(*command: object) -> str:
    """Run a command; return what it prints, and leave out where PYTHONPATH points."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=clean)
    return done.stdout if done.returncode == 0 else f"FAILED: {done.stderr[-2000:]}"


def check(bin_: Path, folder: Path) -> int:
    """Open each file twice: with the command line, and with another library."""
    lines = []
    for sample in SAMPLES:
        path = taken_out(sample, bin_, folder)
        lines.append(f"| {path.name} | {opened(bin_, path, sample.truth, folder)} |")
    for name, (write, truth) in MADE.items():
        print(run(bin_ / "python", "-c", write, folder / name), end="")
        lines.append(f"| {name} | {opened(bin_, folder / name, truth, folder)} |")
    print("\n".join(lines))
    return int(any("the same" not in line for line in lines))


def taken_out(sample: Sample, bin_: Path, folder: Path) -> Path:
    """Take a file out of an sdist."""
    pip = ("-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:")
    print(run(bin_ / "python", *pip, "--dest", folder, sample.package), end="")
    for found in folder.glob("*.tar.gz"):
        with tarfile.open(found) as archive:
            for member in archive.getmembers():
                if member.name.endswith(f"/{sample.member}"):
                    member.name = sample.name
                    archive.extract(member, folder, filter="data")
    return folder / sample.name


def opened(bin_: Path, path: Path, truth: str, folder: Path) -> str:
    """Return what came of a file."""
    options = ("--out", folder / "embeddings", "--model", "builtin")
    said = run(bin_ / "napari-dinov3-sim", "embed", path, *options)
    if "FAILED" in said:
        return said
    return run(bin_ / "python", "-c", COMPARE, path, truth).strip()


if __name__ == "__main__":
    sys.exit(main())
