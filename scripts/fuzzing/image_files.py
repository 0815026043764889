"""Image files that are damaged anywhere, of every format, through the command line."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from .children import all_of, command, done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MUTATIONS = 300


def noise(*shape: int, most: int = 255, dtype: str = "u1") -> np.ndarray:
    """Return pixels."""
    return np.random.default_rng(0).integers(0, most, shape).astype(dtype)


def write_tiff(path: Path, **options: object) -> None:
    """Write 16 bits of gray."""
    import tifffile

    image = noise(48, 64, most=4000, dtype="u2")
    tifffile.imwrite(path, image, photometric="minisblack", **options)


def write_pyramid(path: Path) -> None:
    """Write two levels of JPEG tiles."""
    import tifffile

    image = noise(64, 64, 3)
    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (16, 16), "compression": "jpeg", "photometric": "rgb"}
        tiff.write(image, subifds=1, **options)
        tiff.write(image[::2, ::2], subfiletype=1, **options)


def write_slide(path: Path) -> None:
    """Write a scanned slide as Aperio does: two levels, thumbnail and label."""
    import tifffile

    image = noise(64, 64, 3)
    about = "Aperio Image Library v12\n64x64 |AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(path) as tiff:
        options = {"compression": "jpeg", "photometric": "rgb", "metadata": None}
        tiff.write(image, tile=(16, 16), description=about, **options)
        tiff.write(image[:20, :20], description="Aperio Image Library v12", **options)  # thumbnail
        tiff.write(image[::2, ::2], tile=(16, 16), description=about, **options)
        tiff.write(image[:20, :30], description="Aperio Image Library v12\nlabel", **options)


def write_channels(path: Path) -> None:
    """Write an OME-TIFF of two channels and two planes, with pixel sizes and names."""
    import tifffile

    image = noise(2, 2, 48, 64, most=4000, dtype="u2")
    about = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    about |= {"Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, image, photometric="minisblack", metadata=about, compression="zlib")


def write_palette(path: Path) -> None:
    """Write indices of colours."""
    import tifffile

    colours = noise(3, 256, most=65535, dtype="u2")
    tifffile.imwrite(path, noise(48, 64), photometric="palette", colormap=colours)


def write_animation(path: Path) -> None:
    """Write three frames through Pillow."""
    from PIL import Image

    frames = [Image.fromarray(frame) for frame in noise(3, 48, 64, 3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def write_picture(path: Path, mode: str = "RGB") -> None:
    """Write a picture through Pillow."""
    from PIL import Image

    Image.fromarray(noise(48, 64, 3)).convert(mode).save(path)


def write_deep_png(path: Path) -> None:
    """Write 16 bits of colour."""
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(noise(48, 64, 3, most=60000, dtype="u2")))


def write_zarr(path: Path, version: int) -> None:
    """Write an array of four chunks."""
    import zarr

    how = {"shape": (48, 64), "chunks": (24, 32), "dtype": "u2", "zarr_format": version}
    zarr.create_array(path, **how)[:] = noise(48, 64, most=4000, dtype="u2")


def write_ome_zarr(path: Path, version: int) -> None:
    """Write an image of two channels and two levels."""
    import zarr

    image = noise(2, 48, 64, most=4000, dtype="u2")
    root = zarr.open_group(path, mode="w", zarr_format=version)
    for number, level in enumerate((image, image[:, ::2, ::2])):
        root.create_array(f"{number}", data=level, chunks=(1, 24, 32))
    sorts = (("c", "channel"), ("y", "space"), ("x", "space"))
    axes = [{"name": name, "type": one} for name, one in sorts]
    scales = [{"type": "scale", "scale": [1.0, n, n]} for n in (0.5, 1.0)]
    levels = [{"path": f"{n}", "coordinateTransformations": [scales[n]]} for n in (0, 1)]
    images = [{"version": "0.4", "axes": axes, "datasets": levels}]
    if version == 2:
        root.attrs["multiscales"] = images
    else:
        root.attrs["ome"] = {"version": "0.5", "multiscales": images}


def write_plate(path: Path) -> None:
    """Write a plate of one well with two fields."""
    import zarr

    write_ome_zarr(path / "A" / "1" / "0", 2)
    write_ome_zarr(path / "A" / "1" / "1", 2)
    well = zarr.open_group(path / "A" / "1", zarr_format=2)
    well.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    zarr.open_group(path, zarr_format=2).attrs["plate"] = {"wells": [{"path": "A/1"}]}


FORMATS: dict[str, Callable[[Path], None]] = {
    "plain.tif": write_tiff,
    "lzw.tif": lambda path: write_tiff(path, compression="lzw"),
    "tiles.tif": lambda path: write_tiff(path, compression="zlib", tile=(16, 16)),
    "a.ome.tif": lambda path: write_tiff(path, compression="zlib"),
    "ij.tif": lambda path: write_tiff(path, imagej=True),
    "pyramid.tif": write_pyramid,
    "big.btf": lambda path: write_tiff(path, bigtiff=True, byteorder=">", compression="zstd"),
    "palette.tif": write_palette,
    "channels.ome.tif": write_channels,
    "slide.svs": write_slide,
    "a.png": write_picture,
    "deep.png": write_deep_png,
    "a.jpg": write_picture,
    "a.gif": lambda path: write_picture(path, "P"),
    "moving.gif": write_animation,
    "moving.png": write_animation,
    "two.mpo": write_animation,
    "a.webp": write_picture,
    "a.bmp": write_picture,
    "a.jp2": write_picture,
    "a.npy": lambda path: np.save(path, noise(48, 64)),
    "two.zarr": lambda path: write_zarr(path, 2),
    "three.zarr": lambda path: write_zarr(path, 3),
    "ome04.zarr": lambda path: write_ome_zarr(path, 2),
    "ome05.zarr": lambda path: write_ome_zarr(path, 3),
    "plate.zarr": write_plate,
}
"""How a sound file of each format is written; a new format is entered here."""


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file with bytes changed, cut off, repeated or thrown in."""
    changed, draw = bytearray(content), random.random()
    at = int(random.integers(1, len(content)))
    if draw < 0.25:
        return bytes(changed[:at])
    if draw < 0.35:
        changed[at:at] = changed[: int(random.integers(64))]
        return bytes(changed)
    # The beginning says how the rest is read.
    reach = len(changed) if draw < 0.65 else min(len(changed), 512)
    for place in random.integers(0, reach, int(random.integers(1, 9))):
        changed[place] = int(random.integers(256))
    return bytes(changed)


def mutate_in(folder: Path, random: np.random.Generator) -> None:
    """Damage one of the files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.stat().st_size and path.is_file())
    chosen = files[int(random.integers(len(files)))]
    chosen.write_bytes(mutated(chosen.read_bytes(), random))


def images(name: str) -> Callable[[Path, float], Iterator[str]]:
    """Return a subject that embeds damaged files of a format."""

    def subject(folder: Path, share: float) -> Iterator[str]:
        sound = folder / "sound" / name
        sound.parent.mkdir()
        done(lambda: FORMATS[name](sound))
        options = ("--out", folder / "e", "--model", "builtin")
        ended = command("embed", sound, *options).wait()
        if ended.code:
            yield f"the sound file: {ended.verdict}"
        for number in range(all_of(share, MUTATIONS, 4)):
            random, target = np.random.default_rng(number), folder / f"{number}" / name
            target.parent.mkdir()
            if sound.is_dir():
                shutil.copytree(sound, target)
                mutate_in(target, random)
            else:
                target.write_bytes(mutated(sound.read_bytes(), random))
            ended = command("embed", target, *options).wait()
            names_it = ended.code != 2 or str(target) in ended.complained
            yield ended.verdict if names_it else f"no name of a file: {ended.complained[-300:]}"
            shutil.rmtree(target.parent)

    return subject
