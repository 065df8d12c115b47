"""Prints what TensorBoard's own reader finds in a folder, for `cargo xtask check-tensorboard`.

One JSON document on stdout. What is not finite is null, for JSON has no such numbers.
"""

import io
import json
import math
import pathlib
import sys

import tensorboard.version
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.tensorflow_stub import errors, pywrap_tensorflow


def finite(value: float) -> float | None:
    """The value, or None where JSON has none."""
    return float(value) if math.isfinite(value) else None


def records(path: pathlib.Path) -> dict:
    """Reads a file to its end. `EventAccumulator` stops at damage without a word; this does not."""
    reader = pywrap_tensorflow.PyRecordReader_New(str(path))
    count = 0
    problem = None
    try:
        while True:
            reader.GetNext()
            count += 1
    except errors.OutOfRangeError:
        pass
    except Exception as error:
        problem = f"record {count + 1}: {error}"
    return {"name": path.name, "records": count, "problem": problem}


def image(tag: str, event: event_accumulator.ImageEvent) -> dict:
    """What the event says of its image, and what the image is."""
    try:
        with Image.open(io.BytesIO(event.encoded_image_string)) as image:
            image.load()
            decoded, problem = list(image.size), None
    except Exception as error:
        decoded, problem = None, str(error)
    said = {"tag": tag, "step": event.step, "said": [event.width, event.height]}
    return said | {"decoded": decoded, "problem": problem}


def histogram(tag: str, event: event_accumulator.HistogramEvent) -> dict:
    """How many values a histogram says it has, and how many its buckets hold."""
    value = event.histogram_value
    limits = list(value.bucket_limit)
    in_order = limits == sorted(limits) and len(limits) == len(value.bucket)
    return {
        "tag": tag,
        "step": event.step,
        "num": value.num,
        "in_buckets": sum(value.bucket),
        "in_order": in_order and value.min <= limits[0] and limits[-1] == value.max,
    }


def main() -> None:
    """Reads the folder that the command line names."""
    folder = pathlib.Path(sys.argv[1])
    everything = {kind: 0 for kind in event_accumulator.DEFAULT_SIZE_GUIDANCE}
    events = event_accumulator.EventAccumulator(str(folder), size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    document = {
        "version": tensorboard.version.VERSION,
        "files": [records(path) for path in sorted(folder.glob("*tfevents*"))],
        "scalars": [
            {
                "tag": tag,
                "step": event.step,
                "time": event.wall_time,
                "value": finite(event.value),
            }
            for tag in tags["scalars"]
            for event in events.Scalars(tag)
        ],
        "images": [image(tag, event) for tag in tags["images"] for event in events.Images(tag)],
        "histograms": [
            histogram(tag, event) for tag in tags["histograms"] for event in events.Histograms(tag)
        ],
    }
    json.dump(document, sys.stdout, allow_nan=False)


if __name__ == "__main__":
    main()
