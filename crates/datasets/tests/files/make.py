"""Writes the Parquet files of this folder: drawn shapes, by pyarrow, polars and Hugging Face's datasets.

Needs pillow, pyarrow, polars and datasets. The files were written by the versions that a run of this script prints.
"""

import io
from pathlib import Path

import datasets
import polars
import pyarrow
import pyarrow.parquet
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
SHAPES = ["circle", "square", "cross"]
ROWS = 12


def drawn(row):
    """A shape on a ground of one colour; its red says which image it is."""
    image = Image.new("RGB", (16, 16), (row * 20 % 256, 90, 200))
    draw = ImageDraw.Draw(image)
    shape = SHAPES[row % 3]
    if shape == "circle":
        draw.ellipse((4, 4, 11, 11), fill=(250, 250, 250))
    elif shape == "square":
        draw.rectangle((4, 4, 11, 11), fill=(250, 250, 250))
    else:
        draw.line((4, 4, 11, 11), fill=(250, 250, 250))
        draw.line((4, 11, 11, 4), fill=(250, 250, 250))
    return image


def png(row):
    bytes_ = io.BytesIO()
    drawn(row).save(bytes_, "PNG")
    return bytes_.getvalue()


def by_datasets(name, labels, rows=ROWS):
    """`labels` has for each column its names and its values."""
    columns = {"image": [drawn(row) for row in range(rows)]} | {key: values for key, (_, values) in labels.items()}
    features = {"image": datasets.Image()} | {key: datasets.ClassLabel(names=names) for key, (names, _) in labels.items()}
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(HERE / name)


def by_arrow(name, **options):
    images = [{"bytes": png(row), "path": f"{row}.png"} for row in range(ROWS)]
    table = pyarrow.table({"image": images, "label": [SHAPES[row % 3] for row in range(ROWS)]})
    pyarrow.parquet.write_table(table, HERE / name, row_group_size=5, **options)


def main():
    for module in (datasets, polars, pyarrow):
        print(module.__name__, module.__version__)
    by_datasets("datasets.parquet", {"label": (SHAPES, [row % 3 for row in range(ROWS)])})
    # Enough to train on.
    by_datasets("shapes.parquet", {"label": (SHAPES, [row % 3 for row in range(60)])}, rows=60)
    coarse = {
        "fine_label": (SHAPES, [row % 3 for row in range(ROWS)]),
        "coarse_label": (["round", "straight"], [min(row % 3, 1) for row in range(ROWS)]),
    }
    by_datasets("coarse.parquet", coarse)
    for compression in ("none", "snappy", "gzip", "zstd", "brotli"):
        by_arrow(f"arrow-{compression}.parquet", compression=compression)
    # Pages of the second version, and sums of them.
    by_arrow("arrow-zstd-v2.parquet", compression="zstd", data_page_version="2.0", write_page_checksum=True)
    frame = polars.DataFrame(
        {
            "image": [{"bytes": png(row), "path": f"{row}.png"} for row in range(ROWS)],
            "label": [SHAPES[row % 3] for row in range(ROWS)],
        }
    )
    frame.write_parquet(HERE / "arrow-polars-zstd.parquet", compression="zstd")


if __name__ == "__main__":
    main()
