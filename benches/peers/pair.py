#!/usr/bin/env python3
"""Times two programs of this project in turns, on the same cores and the same networks, and compares them.

    python benches/peers/pair.py "old/resnet bench" target/peers/release/compiled torchvision/resnet50 digits --threads 1 2

OLD and NEW are commands that take `MODEL --threads N --batch N --precision P --seconds S --json`, as `resnet bench` and
`compiled` (benches/peers/compiled) do. A round times both, one right after the other, and every other round begins with NEW. The
ratio is the median, over the rounds, of NEW's time divided by OLD's: of the medians of a round, and of its minima. The same
program as OLD and as NEW shows how much of a difference is noise.
"""
import argparse
import json
import shlex
import statistics
import subprocess
import sys


def bench(program, model, batch, threads, arguments):
    """The minimum and the median of a run, in milliseconds."""
    command = ["taskset", "-c", f"0-{threads - 1}", *shlex.split(program), model, "--threads", str(threads),
               "--batch", batch, "--precision", arguments.precision, "--seconds", str(arguments.seconds), "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"{shlex.join(command)} failed")
    report = json.loads(result.stdout)
    return report["min_ms"], report["median_ms"]


def compare(case, threads, arguments):
    model, _, batch = case.partition(":")
    batch = batch or "1"
    programs = {"old": arguments.old, "new": arguments.new}
    rounds = []
    for index in range(arguments.rounds):
        order = ("old", "new") if index % 2 == 0 else ("new", "old")
        times = {which: bench(programs[which], model, batch, threads, arguments) for which in order}
        rounds.append((times["old"], times["new"]))
    old, new = (statistics.median(times[1] for times in column) for column in zip(*rounds))
    minima, medians = ([new[kind] / old[kind] for old, new in rounds] for kind in (0, 1))
    print(f"| {model} | {batch} | {threads} | {old:.3f} | {new:.3f} | {statistics.median(medians):.3f} "
          f"| {min(medians):.3f} to {max(medians):.3f} | {statistics.median(minima):.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("cases", nargs="+", metavar="MODEL[:BATCH]")
    parser.add_argument("--precision", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    print("| network | batch | threads | old, ms | new | new / old | over the rounds | of the minima |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in arguments.cases:
        for threads in arguments.threads:
            compare(case, threads, arguments)


if __name__ == "__main__":
    main()
