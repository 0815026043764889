"""The loop on a device, shown on one that is simulated: results, overlap, buffers, memory."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.backbones.architecture import encoder_of
from napari_dinov3_sim.core import vectors as product
from napari_dinov3_sim.core.embedding import encoder as encoder_module
from napari_dinov3_sim.core.embedding.device_pipeline import DevicePipeline
from napari_dinov3_sim.core.embedding.device_tiles import DeviceStitcher, PixelConverter
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.queues import CudaQueues
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding
from napari_dinov3_sim.core.errors import BackboneError, EmbeddingCancelled, OutOfMemoryError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.resident import RESIDENT, ResidentCopies

from ..backbones import Dinov3Backbone, tiny_dinov3
from .fake_device import FakeDevice, FakeEvent, FakeQueue, NoSync, WaitsForTheDeviceError

RECIPE = Recipe(Tiling(64, 16))
SHAPE = (150, 210)
TILES = 15


class OnDevice(Dinov3Backbone):
    """A model on a simulated device."""

    device = "cuda"

    def __init__(self, tiny, device, most=99):
        super().__init__(tiny.model, tiny.name)
        self.fake, self.most, self.sizes = device, most, []

    def queues(self):
        return self.fake

    def encode(self, pixels):
        if len(pixels) > self.most:
            raise OutOfMemoryError(f"{self.name} ran out of memory.")
        self.sizes.append(len(pixels))
        return Dinov3Backbone.embed_patches(self, pixels)

    def embed_patches(self, pixel_values):
        raise AssertionError("the processor waits for each batch")


class Kept(dict):
    """A `TileCache` in memory."""

    def put(self, number, embeddings):
        self[number] = embeddings.copy()


def picture(sort="rgb"):
    values = np.random.default_rng(0).integers(0, 256, (*SHAPE, 4))
    return {
        "rgb": values[..., :3].astype(np.uint8),
        "rgba": values.astype(np.uint8),
        "gray": values[..., 0].astype(np.uint8),
        "16 bit": (values[..., 0] * 200 + 9000).astype(np.uint16),
        "signed": (values[..., :3] * 100 - 9000).astype(np.int16),
        "float": values[..., 0].astype(np.float64) / 7,
    }[sort]


def embed(backbone, image=None, recipe=RECIPE, **options):
    image = picture() if image is None else image
    return create_patch_image_state(image, backbone, recipe=recipe, **options)


@pytest.fixture(scope="module")
def tiny():
    return tiny_dinov3(dim=16, heads=2, layers=1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The tiles are so small that threads take longer to meet than to compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def expected(tiny):
    return embed(tiny)


@pytest.fixture(autouse=True)
def nothing_is_resident():
    yield
    RESIDENT.clear()


def same(found, expected, atol=1e-5):
    torch.testing.assert_close(
        found.embeddings_normalized, expected.embeddings_normalized, rtol=0, atol=atol
    )


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1, 4, 15])
def test_a_device_computes_what_the_processor_does(tiny, expected, size, seed):
    backbone = OnDevice(tiny, FakeDevice(seed))
    same(embed(backbone, batch_size=size), expected)
    assert sum(backbone.sizes) == TILES
    assert max(backbone.sizes) == size


@pytest.mark.parametrize(
    ("sort", "padding"),
    [
        ("rgba", "zeros"),
        ("gray", "reflect"),
        ("16 bit", "zeros"),
        ("signed", "reflect"),
        ("float", "zeros"),
    ],
)
def test_any_pixels(tiny, sort, padding):
    recipe = Recipe(Tiling(64, 16), padding=padding)
    found = embed(OnDevice(tiny, FakeDevice()), picture(sort), recipe, batch_size=4)
    same(found, embed(tiny, picture(sort), recipe), atol=1e-4)


@pytest.mark.parametrize("window", [(-50.0, 200.0), (30.5, 90.25), (7.0, 7.0)])
def test_any_window(tiny, window):
    options = {"image": picture("gray"), "window": window}
    found = embed(OnDevice(tiny, FakeDevice()), **options)
    same(found, embed(tiny, **options), atol=1e-4)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(Tiling(64, 16, "cut")),
        Recipe(Tiling(64, 48)),  # each cell in up to 16 tiles
        Recipe(Tiling(64, 16), factor=2.0),
        Recipe(Tiling(64, 16), factor=0.5),
        Recipe(Tiling(512, 64)),  # a single tile
    ],
)
def test_any_recipe(tiny, recipe):
    found = embed(OnDevice(tiny, FakeDevice(1)), recipe=recipe, batch_size=3)
    same(found, embed(tiny, recipe=recipe), atol=1e-4)


@pytest.mark.parametrize("recipe", [Recipe(shifts=2), Recipe(debias=2)])
def test_what_the_processor_puts_together_takes_the_other_way(tiny, recipe):
    with pytest.raises(AssertionError, match="waits for each batch"):
        embed(OnDevice(tiny, FakeDevice()), recipe=recipe)


def test_half_precision(tiny, expected, monkeypatch):
    monkeypatch.setattr(product, "FULL_PRECISION_ELEMENTS", 1000)
    kept = Kept()
    found = embed(OnDevice(tiny, FakeDevice()), tiles=kept, batch_size=4)
    assert found.embeddings_normalized.dtype == torch.float16
    assert {tile.dtype for tile in kept.values()} == {np.dtype(np.float16)}
    torch.testing.assert_close(
        found.embeddings_normalized.float(), expected.embeddings_normalized, rtol=0, atol=5e-4
    )


def test_values_that_are_not_finite_are_found(tiny):
    class Broken(OnDevice):
        def encode(self, pixels):
            return super().encode(pixels) * (torch.nan if len(self.sizes) == 2 else 1)

    kept = Kept()
    with pytest.raises(BackboneError, match=r"not finite.*float32"):
        embed(Broken(tiny, FakeDevice()), batch_size=4, tiles=kept)
    assert sorted(kept) == [0, 1, 2, 3], "before the group with NaN"


# --- stopping and going on -----------------------------------------------------------------------


def test_progress_is_told_tile_by_tile(tiny):
    calls = []
    embed(OnDevice(tiny, FakeDevice()), batch_size=4, progress=lambda *call: calls.append(call))
    assert calls == [(done, TILES) for done in range(TILES + 1)]


@pytest.mark.parametrize("gaps", [{0}, {14}, {3, 4, 9}, set(range(1, 15, 2))])
def test_a_run_that_goes_on_gives_the_same_to_the_last_bit(tiny, gaps):
    whole = Kept()
    first = embed(OnDevice(tiny, FakeDevice()), tiles=whole, batch_size=1)
    part = Kept({number: whole[number] for number in whole if number not in gaps})
    second = OnDevice(tiny, FakeDevice(3))
    found = embed(second, tiles=part, batch_size=1)
    assert sum(second.sizes) == len(gaps)
    assert torch.equal(found.embeddings_normalized, first.embeddings_normalized)
    assert sorted(part) == list(range(TILES))


@pytest.mark.parametrize("error", [EmbeddingCancelled(), RuntimeError("a bug")])
def test_when_it_is_stopped_queues_are_empty_and_no_thread_is_left(tiny, error):
    def stop(done, total):
        if done == 3:
            raise error

    before, device = set(threading.enumerate()), FakeDevice()
    with pytest.raises(type(error)):
        embed(OnDevice(tiny, device), batch_size=2, progress=stop)
    assert all(step.is_done for step in device.steps)
    assert set(threading.enumerate()) == before


# --- what runs beside what -----------------------------------------------------------------------


def check_schedule(device, groups):
    """Assert that the device never waits, and the processor once for each group."""
    copies, sent = device.of("copies_in"), device.of("copies_out")
    kernels = device.of("computing")[1:]  # the first sets the sums to zero
    assert len(copies) == len(kernels) == len(sent) == groups
    for k in range(groups - 1):
        assert copies[k + 1].start < kernels[k].end, "a copy waits for the model"
        assert kernels[k + 1].start == kernels[k].end, "the model waits"
    in_loop = device.waits[:-3]  # three queues are finished at the end
    assert [step for step, _ in in_loop] == sent
    for k, (_, launched) in enumerate(in_loop[:-1]):
        assert launched == 1 + 3 * (k + 2), "waits before the next group is launched"


@pytest.mark.parametrize("tiles", [None, Kept()])
def test_copies_run_beside_the_model(tiny, tiles):
    device = FakeDevice()
    embed(OnDevice(tiny, device), batch_size=2, tiles=tiles)
    check_schedule(device, groups=8)


def test_it_is_seen_when_the_loop_waits(tiny, monkeypatch):
    launch = DevicePipeline._launch

    def launch_and_wait(self, slot):
        launch(self, slot)
        slot.is_back.wait()

    monkeypatch.setattr(DevicePipeline, "_launch", launch_and_wait)
    device = FakeDevice()
    embed(OnDevice(tiny, device), batch_size=2)
    with pytest.raises(AssertionError, match="a copy waits for the model"):
        check_schedule(device, groups=8)


@pytest.mark.parametrize(
    "wait",
    [
        lambda tokens: tokens * tokens.max().item(),
        lambda tokens: tokens if bool(torch.isfinite(tokens).all()) else tokens + 1,
        lambda tokens: tokens.index_put((tokens > 3,), torch.tensor(3.0)),
        lambda tokens: tokens[tokens.nonzero()[0, 0]][None],
    ],
)
def test_it_is_seen_when_a_kernel_waits(tiny, wait):
    class Waiting(OnDevice):
        def encode(self, pixels):
            return wait(super().encode(pixels))

    with pytest.raises(WaitsForTheDeviceError):
        embed(Waiting(tiny, FakeDevice()))


def is_right(tiny, expected, seed):
    try:
        same(embed(OnDevice(tiny, FakeDevice(seed)), batch_size=2), expected)
    except (AssertionError, BackboneError):
        return False
    return True


@pytest.mark.parametrize(
    ("owner", "method"), [(FakeQueue, "follow"), (FakeEvent, "wait")], ids=["queue", "processor"]
)
def test_it_is_seen_when_nobody_waits(tiny, expected, monkeypatch, owner, method):
    monkeypatch.setattr(owner, method, lambda *_: None)
    assert not all(is_right(tiny, expected, seed) for seed in range(4))


def test_it_is_seen_when_a_buffer_is_filled_too_early(tiny, expected, monkeypatch):
    """As if the reader had a slot back as soon as it was launched."""
    launch = DevicePipeline._launch

    def launch_and_spoil(self, slot):
        launch(self, slot)
        slot.sent.fill_(3)

    monkeypatch.setattr(DevicePipeline, "_launch", launch_and_spoil)
    assert not all(is_right(tiny, expected, seed) for seed in range(4))


def test_it_is_seen_when_a_buffer_of_the_device_is_shared(tiny, expected, monkeypatch):
    """As if both slots had the same pixels on the device."""
    make = DevicePipeline._slot

    def shared(self):
        slot = make(self)
        slot.pixels = self.__dict__.setdefault("one_for_all", slot.pixels)
        return slot

    monkeypatch.setattr(DevicePipeline, "_slot", shared)
    assert not all(is_right(tiny, expected, seed) for seed in range(4))


# --- memory --------------------------------------------------------------------------------------


def test_out_of_memory_halves_the_groups(tiny, expected):
    notices, device = [], FakeDevice()
    backbone = OnDevice(tiny, device, most=2)
    same(embed(backbone, batch_size=8, notice=notices.append), expected)
    assert notices == [
        f"The model {tiny.name} ran out of memory on cuda with {size} tiles at once; it goes on "
        f"with {size // 2}."
        for size in (8, 4)
    ]
    assert device.released == 2


def test_not_even_one_tile_fits_so_the_cpu_takes_over(tiny, expected):
    class Full(OnDevice):
        def embed_patches(self, pixel_values):
            raise OutOfMemoryError("full")

        def on_cpu(self):
            return tiny

    notices = []
    found = embed(Full(tiny, FakeDevice(), most=0), batch_size=2, notice=notices.append)
    same(found, expected)
    assert len(notices) == 2
    assert notices[-1].endswith("a single tile; this image is embedded on the CPU, more slowly.")


def test_an_image_that_does_not_fit_beside_the_model_takes_the_other_way(tiny, expected):
    class Small(FakeDevice):
        def empty(self, shape, dtype):
            raise torch.OutOfMemoryError("CUDA out of memory")

    class Both(OnDevice):
        embed_patches = Dinov3Backbone.embed_patches

    same(embed(Both(tiny, Small())), expected)


def test_the_result_stays_on_the_device_and_answers_there(tiny):
    state = embed(OnDevice(tiny, FakeDevice()))
    resident = RESIDENT.find(state.vectors)
    assert resident is not None
    np.testing.assert_array_equal(resident.numpy(), state.vectors)
    resident *= 2  # so that it shows who has answered
    for queries in (state.vectors[:1].T, state.vectors[3:6].T):
        found = product.dot(state.vectors, queries)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, 2 * (state.vectors @ queries), atol=1e-5)


def test_what_does_not_fit_or_is_gone_is_not_kept(tiny):
    little = FakeDevice(free=1000)
    state = embed(OnDevice(tiny, little))
    assert len(RESIDENT) == 0
    state = embed(OnDevice(tiny, FakeDevice()))
    assert len(RESIDENT) == 1
    del state
    gc.collect()
    assert len(RESIDENT) == 0


def test_answers_give_their_memory_back_before_groups_become_smaller(tiny, expected):
    first = embed(OnDevice(tiny, FakeDevice()))

    class Crowded(OnDevice):
        def encode(self, pixels):
            self.most = 0 if len(RESIDENT) else 4
            return super().encode(pixels)

    notices = []
    same(embed(Crowded(tiny, FakeDevice()), batch_size=4, notice=notices.append), expected)
    assert notices == []
    assert RESIDENT.find(first.vectors) is None


def test_copies_are_found_by_the_array_itself():
    copies, vectors = ResidentCopies(), np.ones((3, 2), np.float32)
    copies.keep(vectors, torch.ones(3, 2))
    assert copies.find(vectors) is not None
    assert copies.find(vectors.copy()) is None
    assert copies.find(vectors[:2]) is None


# --- the code for a real device ------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["plain", "gated"])
def nowhere(request):
    """An encoder, and what goes with it, on torch's device whose tensors have no values.

    There mixing devices is an error, and so is asking for a number.
    """
    config = DINOv3ViTConfig(
        hidden_size=64,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=96,
        num_register_tokens=4,
        use_gated_mlp=request.param,
        hidden_act="silu" if request.param else "gelu",
    )

    class Nowhere(FakeDevice):
        def empty(self, shape, dtype):
            return torch.empty(shape, dtype=dtype, device="meta")

    encoder, device = encoder_of(DINOv3ViTModel(config), "bfloat16").to("meta"), Nowhere()
    convert = PixelConverter(Dinov3Backbone, IntensityWindow(3, 99), device, are_stored=True)
    stitcher = DeviceStitcher(plan_embedding(SHAPE, 16, RECIPE), 64, "blend", device)
    return encoder, convert, stitcher


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16])
def test_all_is_on_the_device_and_nothing_asks_for_a_value(nowhere, dtype):
    encoder, convert, stitcher = nowhere
    with torch.inference_mode(), NoSync():
        pixels = convert(torch.empty((3, 64, 64, 3), dtype=dtype, device="meta"))
        tokens = encoder(pixels).last_hidden_state
        stitcher.add_tile(0, tokens[0, 5:].view(4, 4, 64))
        stitcher.finish_rows(0, 3)
    assert (tokens.device.type, tokens.dtype, tokens.shape) == ("meta", torch.float32, (3, 21, 64))
    assert stitcher.embeddings.device.type == "meta"


def test_it_is_seen_when_something_is_left_on_the_processor(nowhere):
    encoder, convert, _ = nowhere
    convert._factor = torch.ones(1, 3, 1, 1)
    with pytest.raises(RuntimeError, match="device"):
        convert(torch.empty((3, 64, 64, 3), dtype=torch.uint8, device="meta"))
    encoder._embedding = tuple(torch.empty_like(one, device="cpu") for one in encoder._embedding)
    with pytest.raises(RuntimeError, match="device"):
        encoder(torch.empty((3, 3, 64, 64), device="meta"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_encoder_computes_the_same_on_a_device(monkeypatch, dtype):
    """With the products, the attention and the rounding that devices get, on the processor."""
    here = encoder_of(tiny_dinov3().model, dtype)
    there = here.to("cpu")
    there._linear = encoder_module._plain
    there._round_between(there.dtype)
    pixels = torch.randn(2, 3, 48, 80)
    expected = here(pixels).last_hidden_state
    monkeypatch.setattr(encoder_module, "_rotated", encoder_module._rotated_in_passing)
    found = there(pixels).last_hidden_state
    mean, least = encoder_module.cosine_agreement(found, expected)
    assert mean > (0.999999 if dtype == "float32" else 0.9999)
    assert least > (0.999999 if dtype == "float32" else 0.999)


def test_an_encoder_that_comes_back_is_what_it_was():
    here = encoder_of(tiny_dinov3().model, "bfloat16")
    there = here.to("cpu")
    there._round_between(torch.bfloat16)
    pixels = torch.randn(1, 3, 48, 80)
    assert not torch.equal(there(pixels).last_hidden_state, here(pixels).last_hidden_state)
    back = there.to("cpu")
    assert torch.equal(back(pixels).last_hidden_state, here(pixels).last_hidden_state)


class Log(list):
    """Stands in for a stream and an event of CUDA."""

    def record_event(self):
        self.append("record")
        return self

    def wait_event(self, event):
        self.append(f"wait for {event.name}")

    def synchronize(self):
        self.append("synchronize")

    def __enter__(self):
        self.append("enter")

    def __exit__(self, *_):
        self.append("exit")


def test_the_queues_of_cuda_are_streams(monkeypatch):
    streams = []

    def stream(device):
        streams.append(Log())
        streams[-1].name = f"stream {len(streams)} of {device}"
        return streams[-1]

    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    cuda = CudaQueues("cuda:1")
    cuda.copies_in.run(lambda: streams[0].append("copy"))
    cuda.computing.follow(cuda.copies_in.record())
    cuda.computing.run(lambda: streams[1].append("compute"))
    cuda.computing.record().wait()
    assert streams == [
        ["enter", "copy", "exit", "record"],
        ["wait for stream 1 of cuda:1", "enter", "compute", "exit", "record", "synchronize"],
        [],
    ]
    assert cuda.free_bytes() == 5
    cuda.finish()
    assert all(log[-2:] == ["record", "synchronize"] for log in streams)
