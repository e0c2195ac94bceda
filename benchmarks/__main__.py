"""`python -m benchmarks [NAME…] [--fast] [-o FILE]`: measure, print, and write to FILE if asked to."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

NAMES = (
    "core", "startup", "silence", "gradient", "optimisers", "transcription", "certificates", "optima", "search",
    "sizes", "fatrop", "large", "scaling", "constructive_starts", "controllability", "free_space", "explorer", "peers",
    "monte_carlo", "sweeps", "sweep_stages",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks (all by default). Returns 0, or 1 where answers that should agree do not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speeds against peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--fast", action="store_true", help="fewer rounds, starts and seconds: does it run at all?")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write what is printed here as well")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    import torch

    from benchmarks.reporting import header

    torch.set_num_threads(1)
    parts, failed = [], False

    def show(text: str) -> None:
        print(text, end="\n\n", flush=True)
        parts.append(text)
        if options.output:  # after each part, so that an interruption loses little
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")

    show(header())
    for name in options.names or NAMES:
        began = time.perf_counter()
        try:
            report = import_module(f"benchmarks.{name}").run(options.fast)
        except AssertionError as error:
            show(f"== {name} ==\n\nthe competitors do not agree: {error}")
            failed = True
            continue
        show(f"{report.text()}\n\n({name}: {time.perf_counter() - began:.0f} s)")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
