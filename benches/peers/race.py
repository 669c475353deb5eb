#!/usr/bin/env python3
"""Times `resnet bench` and ONNX Runtime in turns, on the same cores, and prints the medians of all runs.

    pip install -r benches/peers/requirements.txt
    python benches/peers/onnx_models.py /tmp/onnx resnet18 resnet50
    cargo build --release -p resnet-cli
    python benches/peers/race.py --onnx /tmp/onnx --resnet target/release/resnet resnet18 resnet50
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import numpy as np
import onnxruntime


def ours(arguments, model, threads):
    """Median of one process' runs, in milliseconds."""
    command = [arguments.resnet, "bench", f"torchvision/{model}", "--threads", str(threads),
               "--seconds", str(arguments.seconds), "--json"]
    if arguments.isa:
        command += ["--isa", arguments.isa]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["median_ms"]


def theirs(session, image, seconds):
    """Median of the runs of some seconds, after a warm-up of a fifth of them."""
    times = []
    for budget in (seconds / 5, seconds):
        times.clear()
        start = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - start < budget:
            run = time.perf_counter()
            session.run(None, {"image": image})
            times.append((time.perf_counter() - run) * 1e3)
    return statistics.median(times)


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--onnx", default="/tmp/onnx")
    parser.add_argument("--resnet", default="target/release/resnet")
    parser.add_argument("--isa", help="of ours")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
    print(f"ONNX Runtime {onnxruntime.__version__}, {arguments.rounds} rounds of {arguments.seconds} s each")
    print("| model | threads | ours, ms | ONNX Runtime, ms | ours / theirs |\n|---|---|---|---|---|")
    for model in arguments.models:
        for threads in arguments.threads:
            os.sched_setaffinity(0, range(threads))  # inherited by the process that is started
            peer = session(f"{arguments.onnx}/{model}.onnx", threads)
            rounds = [(ours(arguments, model, threads), theirs(peer, image, arguments.seconds))
                      for _ in range(arguments.rounds)]
            a, b = (statistics.median(side) for side in zip(*rounds))
            print(f"| {model} | {threads} | {a:.2f} | {b:.2f} | {a / b:.2f} |", flush=True)
            del peer


if __name__ == "__main__":
    main()
