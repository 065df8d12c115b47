"""Measures what this GPU can do at most: bytes copied a second (read and written), and bf16 products a second.

Prints one line of JSON.
"""

import json

import torch

from timing import median_milliseconds


def main():
    source = torch.randn(1 << 29, device="cuda")
    target = torch.empty_like(source)
    copied = median_milliseconds(lambda: target.copy_(source), 20)
    del source, target
    left, right = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = median_milliseconds(lambda: left @ right, 20)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name(),
                "torch": torch.__version__,
                "cudnn": torch.backends.cudnn.version(),
                "copy_tb_per_s": 2 * 4 * (1 << 29) / copied / 1e9,
                "bf16_tflop_per_s": 2 * 8192**3 / product / 1e9,
            }
        )
    )


if __name__ == "__main__":
    main()
