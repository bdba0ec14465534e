"""Ranges of activations, seen while a float graph runs on real inputs."""

from collections.abc import Callable, Iterable

import numpy as np
import onnx
import onnxruntime

from quantization import Range, quantizable_tensors, with_outputs

SAMPLES_A_RUN = 4096
Samples = dict[str, np.ndarray]


def open_session(model: onnx.ModelProto, optimized: bool = True) -> onnxruntime.InferenceSession:
    """ONNX Runtime on one core; unoptimized, every node runs as the file has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def observe(model: onnx.ModelProto, feeds: Iterable[dict]) -> Samples:
    """Values of every activation to quantize: the extremes and a random sample of each run."""
    names = quantizable_tensors(model)
    inputs = {value.name for value in model.graph.input}
    inner = [name for name in names if name not in inputs]
    session = open_session(with_outputs(model, inner))
    chooser = np.random.default_rng(0)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for feed in feeds:
        values = dict(zip(inner, session.run(inner, feed)))
        for name in names:
            seen[name].append(sample(values.get(name, feed.get(name)), chooser))
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def channels_of(model: onnx.ModelProto, names: list[str], feeds: Iterable[dict], reduce: Callable) -> list[np.ndarray]:
    """What `reduce` (np.max, np.mean) makes of each channel of maps (1, C, H, W): (feeds, C) for each named tensor."""
    if not names:
        return []
    ending_there = onnx.ModelProto()
    ending_there.CopyFrom(model)
    del ending_there.graph.output[:]
    session = open_session(with_outputs(ending_there, names))
    runs = [[reduce(maps, axis=(0, 2, 3)) for maps in session.run(names, feed)] for feed in feeds]
    return [np.stack(rows) for rows in zip(*runs)]


def sample(values: np.ndarray, chooser: np.random.Generator) -> np.ndarray:
    """At most SAMPLES_A_RUN values, among them the lowest and the highest."""
    flat = values.ravel()
    if flat.size <= SAMPLES_A_RUN:
        return flat.copy()
    drawn = flat[chooser.integers(0, flat.size, SAMPLES_A_RUN - 2)]
    return np.concatenate([drawn, [flat.min(), flat.max()]])


def minmax(values: np.ndarray) -> Range:
    """Everything seen."""
    return float(values.min()), float(values.max())


def percentile(percent: float) -> Callable[[np.ndarray], Range]:
    """All but the outermost values."""

    def choose(values: np.ndarray) -> Range:
        low, high = np.percentile(values, [100 - percent, percent])
        return float(low), float(high)

    return choose


def least_error(values: np.ndarray) -> Range:
    """The share of the full range whose rounding and saturation lose least, by mean square."""
    low, high = include_zero(minmax(values))
    shares = np.linspace(0.3, 1.0, 36)
    errors = [square_error(values, low * share, high * share) for share in shares]
    best = shares[int(np.argmin(errors))]
    return low * best, high * best


def square_error(values: np.ndarray, low: float, high: float) -> float:
    """Mean square difference that uint8 steps over low..high make."""
    scale = (high - low) / 255
    if scale == 0:
        return 0.0
    return float(np.square(np.rint(np.clip(values, low, high) / scale) * scale - values).mean())


METHODS: dict[str, Callable[[np.ndarray], Range]] = {
    "minmax": minmax,
    "percentile-99.99": percentile(99.99),
    "percentile-99.9": percentile(99.9),
    "least-error": least_error,
}


def choose_ranges(samples: Samples, method: str) -> dict[str, Range]:
    """A range with zero inside for every tensor; pixels always keep theirs, so that a step is a byte's step."""
    chosen = {name: minmax if name == "pixel_values" else METHODS[method] for name in samples}
    return {name: include_zero(chosen[name](values)) for name, values in samples.items()}


def include_zero(limits: Range) -> Range:
    """The range widened to hold zero, and never empty."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    return (low, high) if high > low else (0.0, 1.0)
