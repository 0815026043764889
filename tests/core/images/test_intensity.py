"""From pixels of any real dtype to RGB in [0, 1], through one window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images import intensity
from napari_dinov3_sim.core.images.intensity import (
    IntensityWindow,
    check_image,
    compute_window,
    convert_to_rgb,
    has_contrast,
    uses_window,
    window_of,
)

from .. import reference

relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])

INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
FLOATS = ["f2", "f4", "f8"]
DTYPES = [np.dtype(name) for name in ["?", *INTEGERS, *FLOATS, ">u2", ">i4", ">f4", "g"]]
shapes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([None, 3, 4])).map(
    lambda sizes: sizes if sizes[2] else sizes[:2]
)


def extremes(dtype):
    """Values at the edges of a dtype."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return [info.min, info.min + 1, 0, 1, info.max - 1, info.max]
    info = np.finfo(dtype)
    zero, one = dtype.type(0), dtype.type(1)
    tiny = np.nextafter(zero, one)
    finite = [info.min, -one, -tiny, zero, tiny, info.tiny, one, np.nextafter(one, zero), info.max]
    return [*finite, dtype.type(np.nan), dtype.type(np.inf), dtype.type(-np.inf)]


def elements(dtype):
    if dtype == np.dtype("g"):  # hypothesis has no floats of extended precision
        scaled = st.tuples(st.floats(), st.integers(-16000, 16000)).map(
            lambda parts: np.ldexp(np.longdouble(parts[0]), parts[1])
        )
        return scaled | st.sampled_from(extremes(dtype))
    plain = hnp.from_dtype(dtype)
    edge = st.sampled_from(extremes(dtype))
    if dtype.kind != "f":
        return plain | edge
    return plain | edge | hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)


@st.composite
def images(draw, dtype, shape=shapes):
    shape = draw(shape)
    if dtype == np.dtype("g"):
        with np.errstate(all="ignore"):
            values = draw(
                st.lists(elements(dtype), min_size=(n := int(np.prod(shape))), max_size=n)
            )
        return np.array(values, dtype).reshape(shape)
    few = st.lists(st.sampled_from(extremes(dtype)), min_size=1, max_size=3).map(st.sampled_from)
    return draw(hnp.arrays(dtype, shape, elements=draw(st.just(elements(dtype)) | few)))


def colour_of(image):
    return image[..., :3] if image.ndim == 3 else image[..., np.newaxis]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@relaxed
@given(data=st.data())
def test_every_real_image_becomes_rgb_between_0_and_1(dtype, data):
    """Warnings are errors here, so that no cast, overflow or 0 / 0 goes unseen."""
    image = data.draw(images(dtype))
    before = image.copy()
    image.flags.writeable = False
    window = window_of(image)
    rgb = convert_to_rgb(image, window)

    assert rgb.dtype == np.float32
    assert rgb.shape == (*image.shape[:2], 3)
    assert rgb.flags.c_contiguous
    assert np.isfinite(rgb).all()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert image.tobytes() == before.tobytes()

    values = np.broadcast_to(colour_of(image), rgb.shape)
    finite = np.isfinite(values)
    assert (rgb[~finite] == 0).all()
    drawn = rgb[finite][np.argsort(values[finite], kind="stable")]
    assert (np.diff(drawn) >= 0).all(), "a brighter pixel was drawn darker"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@relaxed
@given(data=st.data())
def test_the_window_lies_within_the_finite_values(dtype, data):
    image = data.draw(images(dtype, st.just((5, 5))))
    values = image[np.isfinite(image)].astype(np.longdouble)
    window = compute_window(image)
    assert np.isfinite([window.low, window.high]).all()
    if values.size == 0:
        assert (window.low, window.high) == (0, 0)
        return
    limit = np.finfo(np.float64).max
    bounds = [float(np.clip(value, -limit, limit)) for value in (values.min(), values.max())]
    assert bounds[0] <= window.low <= window.high <= bounds[1]
    if bounds[0] < bounds[1]:
        assert window.low < window.high


@pytest.mark.parametrize("dtype", ["?", *INTEGERS, *FLOATS])
@relaxed
@given(data=st.data())
def test_the_window_is_percentile_01_to_999(dtype, data):
    limits = {"f": {"min_value": -100, "max_value": 100}}.get(np.dtype(dtype).kind, {})
    image = data.draw(
        hnp.arrays(dtype, (7, 9), elements=hnp.from_dtype(np.dtype(dtype), **limits))
    )
    window = compute_window(image)
    low, high = reference.percentile_window(image)
    scale = max(abs(float(low)), abs(float(high)), 1)
    tolerance = scale * (1e-6 if np.dtype(dtype).kind == "f" else 1e-12)
    assert window.low == pytest.approx(low, abs=tolerance)
    assert window.high == pytest.approx(high, abs=tolerance)


def test_the_window_of_a_wide_range_of_signed_integers():
    """Their range does not fit into their own dtype; the percentiles must not wrap around."""
    for dtype in ("i1", "i2", "i4", "i8"):
        info = np.iinfo(dtype)
        window = compute_window(np.array([[info.min, info.max]], dtype))
        width = float(info.max) - float(info.min)
        assert window.low == pytest.approx(info.min + 0.001 * width)
        assert window.high == pytest.approx(info.max - 0.001 * width)


def test_outliers_do_not_set_the_window():
    image = np.linspace(100, 200, 100_000, dtype=np.float32).reshape(250, 400)
    image[0, 0], image[-1, -1] = -1e6, 1e6
    window = window_of(image)
    assert 100 <= window.low < 100.2
    assert 199.8 < window.high <= 200
    rgb = convert_to_rgb(image, window)
    assert rgb[0, 0, 0] == 0
    assert rgb[-1, -1, 0] == 1


@relaxed
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_8_bit_rgb_is_divided_by_255_exactly(image):
    assert window_of(image) is None
    rgb = convert_to_rgb(image, None)
    expected = np.array([np.float32(value / 255) for value in range(256)], np.float32)[image]
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@relaxed
@given(data=st.data())
def test_alpha_is_ignored(dtype, data):
    image = data.draw(
        hnp.arrays(dtype, (4, 5, 4), elements=hnp.from_dtype(np.dtype(dtype), **finite(dtype)))
    )
    other = image.copy()
    other[..., 3] = data.draw(hnp.arrays(dtype, (4, 5)))
    assert window_of(other) == window_of(image) == window_of(image[..., :3])
    np.testing.assert_array_equal(
        convert_to_rgb(other, window_of(other)), convert_to_rgb(image[..., :3], window_of(image))
    )


def finite(dtype):
    return {"allow_nan": False, "allow_infinity": False} if np.dtype(dtype).kind == "f" else {}


@relaxed
@given(hnp.arrays(np.uint16, (6, 7, 3), elements=st.integers(0, 4095)))
def test_16_bit_rgb_goes_through_one_window_for_all_channels(image):
    window = window_of(image)
    low, high = reference.percentile_window(image)
    assert (window.low, window.high) == pytest.approx((low, high))
    rgb = convert_to_rgb(image, window)
    np.testing.assert_allclose(rgb, reference.apply_window(image, low, high), atol=1e-6)


@relaxed
@given(hnp.arrays(np.float32, (5, 6), elements=st.floats(-10, 10, width=32)))
def test_grayscale_is_repeated(image):
    rgb = convert_to_rgb(image, window_of(image))
    low, high = reference.percentile_window(image)
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 1])
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])
    if high - low > 1e-3:  # narrower, and the rounding of the percentiles shows
        expected = reference.apply_window(image, low, high)
        np.testing.assert_allclose(rgb[..., 0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        (dtype, shape)
        for dtype in DTYPES
        for shape in [(4, 5), (4, 5, 3), (4, 5, 4), (1, 1)]
        if dtype != np.uint8 or len(shape) == 2  # 8-bit colour is used as it is
    ],
    ids=str,
)
def test_a_constant_image_is_black(dtype, shape):
    for value in (1, extremes(dtype)[0], extremes(dtype)[-1]):
        image = np.full(shape, value, dtype)
        assert not convert_to_rgb(image, window_of(image)).any()


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "f8"])
def test_a_few_bright_pixels_on_a_constant_ground_are_seen(dtype):
    """Both percentiles fall on the ground: the window spans minimum to maximum instead."""
    image = np.full((200, 200), 7, dtype)
    image[50, 60], image[51, 60] = 100, 53
    window = window_of(image)
    assert (window.low, window.high) == (7, 100)
    rgb = convert_to_rgb(image, window)
    assert rgb[50, 60].tolist() == [1, 1, 1]
    assert rgb[51, 60, 0] == pytest.approx(46 / 93)
    assert np.count_nonzero(rgb[..., 0]) == 2


@relaxed
@given(
    hnp.arrays(np.float64, (4, 4), elements=st.floats(-1e3, 1e3)),
    st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 4), st.sampled_from([np.nan, np.inf, -np.inf])
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_nan_and_infinity_are_black_and_leave_the_window_alone(values, holes):
    image = np.pad(values, ((0, 0), (0, 1)), constant_values=np.nan)
    for row, column, hole in holes:
        image[row, column] = hole
    rest = image[np.isfinite(image)]
    window = window_of(image)
    assert window == compute_window(rest)
    rgb = convert_to_rgb(image, window)
    assert (rgb[~np.isfinite(image)] == 0).all()
    np.testing.assert_array_equal(
        rgb[np.isfinite(image)], convert_to_rgb(rest[np.newaxis], window)[0]
    )


def test_an_image_of_nan_is_black():
    image = np.full((3, 4), np.nan, np.float32)
    assert window_of(image) == IntensityWindow(0, 0)
    assert not convert_to_rgb(image, window_of(image)).any()


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "g"])
def test_a_given_window_is_used(dtype):
    image = np.array([[0, 10, 20, 30, 100]], dtype)
    rgb = convert_to_rgb(image, IntensityWindow(10, 30))
    assert rgb[0, :, 0].tolist() == [0, 0, 0.5, 1, 1]


def test_a_given_window_is_used_for_8_bit_rgb_too():
    image = np.array([[[0, 64, 128]]], np.uint8)
    assert convert_to_rgb(image, IntensityWindow(0, 128))[0, 0].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("scalar", [float, np.float32, np.float64])
def test_a_given_window_may_be_as_wide_as_its_numbers(scalar):
    high = scalar(np.finfo(scalar).max)
    image = np.array([[-high, 0, high]], scalar)
    rgb = convert_to_rgb(image, IntensityWindow(-high, high))
    assert rgb[0, :, 0].tolist() == [0, 0.5, 1]


def test_a_window_narrower_than_any_normal_number():
    tiny = 5e-324
    image = np.array([[-tiny, 0, tiny, 2 * tiny]])
    assert convert_to_rgb(image, IntensityWindow(0, 2 * tiny))[0, :, 0].tolist() == [0, 0, 0.5, 1]


@pytest.mark.parametrize(
    "bounds", [(1, 0), (np.nan, 1), (0, np.nan), (-np.inf, 0), (0, np.inf), (np.inf, np.inf)]
)
def test_a_window_that_cannot_be_used_is_refused(bounds):
    with pytest.raises(ImageError, match="window"):
        IntensityWindow(*bounds)


def test_non_contiguous_images_give_the_same():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 1000, (8, 10, 4)).astype(np.uint16)
    for view in (image[::-1, ::2], image.transpose(1, 0, 2), np.asfortranarray(image)):
        copy = np.ascontiguousarray(view)
        assert window_of(view) == window_of(copy)
        np.testing.assert_array_equal(
            convert_to_rgb(view, window_of(view)), convert_to_rgb(copy, window_of(copy))
        )


def test_the_window_of_planes_is_the_window_of_their_values():
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 60000, (4, 12, 13)).astype(np.uint16)
    assert compute_window(list(planes)) == compute_window(planes)
    assert compute_window(plane for plane in planes) == compute_window(planes)
    assert compute_window([]) == IntensityWindow(0, 0)


def test_the_window_of_a_large_image_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr(intensity, "MAX_WINDOW_SAMPLES", 1000)
    image = np.linspace(0, 1, 100_001).reshape(1, -1)
    window = compute_window(image)
    assert window.low == pytest.approx(0.001, abs=0.002)
    assert window.high == pytest.approx(0.999, abs=0.002)
    stack = compute_window([image, image + 1])
    assert stack.low == pytest.approx(0.002, abs=0.004)
    assert stack.high == pytest.approx(1.998, abs=0.004)


def test_custom_percentiles():
    window = compute_window(np.arange(101), (10, 80))
    assert (window.low, window.high) == (10, 80)


@pytest.mark.parametrize("name", ["u1", "u2", "f4", "?", "f8"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_only_8_bit_colour_is_used_as_it_is(name, channels):
    assert uses_window(np.dtype(name), channels) is not (name == "u1" and channels > 1)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (2, 3, 4), (1, 1), (3, 1, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_real_images_are_accepted(shape, dtype):
    image = np.zeros(shape, dtype)
    assert check_image(image) is image


def test_nested_lists_are_images():
    assert check_image([[1, 2], [3, 4]]).shape == (2, 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"shape \(\)"),
        ((5,), r"shape \(5,\)"),
        ((2, 3, 4, 3), r"shape \(2, 3, 4, 3\)"),
        ((4, 4, 1), "1 channels"),
        ((4, 4, 2), "2 channels"),
        ((4, 4, 5), "5 channels"),
        ((0, 4), "no pixels"),
        ((4, 0, 3), "no pixels"),
        ((4, 4, 0), "no pixels"),
    ],
)
def test_other_shapes_are_refused(shape, message):
    with pytest.raises(ImageError, match=message):
        check_image(np.zeros(shape))


@pytest.mark.parametrize("dtype", ["c8", "c16", "G"])
def test_complex_images_are_refused_with_the_cure(dtype):
    with pytest.raises(ImageError, match="magnitude"):
        check_image(np.zeros((4, 4), dtype))


@pytest.mark.parametrize("dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", [("r", "u1"), ("g", "u1")]])
def test_pixels_that_are_not_numbers_are_refused(dtype):
    with pytest.raises(ImageError, match="not numbers"):
        check_image(np.zeros((4, 4), dtype))


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i4", "f4", "f8"])
def test_an_image_of_one_value_has_no_contrast_and_one_pixel_gives_it_some(dtype):
    image = np.ones((64, 64), dtype)
    assert not has_contrast(window_of(image))
    image[5, 7] = 0
    assert has_contrast(window_of(image))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_without_a_finite_value_has_no_contrast(value):
    assert not has_contrast(window_of(np.full((8, 8), value)))


def test_eight_bit_colours_have_no_window_that_could_tell():
    assert has_contrast(window_of(np.zeros((8, 8, 3), np.uint8)))
