#!/usr/bin/env python3
"""Times `resnet` and its peers in turns, on the same cores, the same network and the same input; checks that all agree.

    pip install -r benches/peers/requirements.txt
    python benches/peers/onnx_models.py /tmp/onnx resnet18 resnet50 resnet50:8 resnet152 document
    cargo build --release --manifest-path benches/peers/compiled/Cargo.toml --target-dir target/peers   # ours
    cargo build --release --manifest-path benches/peers/rust/Cargo.toml --target-dir target/peers       # rten, tract
    python benches/peers/race.py resnet18 resnet50 resnet50:8 resnet152 document --threads 1 2

`resnet` is what the macro compiled (benches/peers/compiled). `--engines resnet resnet-executed ...` lets the command line,
which executes the plans of the same networks, take part too: cargo build --release -p resnet-cli.

Each round gives each contender some seconds; a figure is the median, over the rounds, of a round's minimum, median and 90th
percentile, in milliseconds a run. Input copies and changes of layout are part of a run.

`--isa` limits ours and OpenVINO to an instruction set, all but the fully connected layer of OpenVINO's f32, which is MLAS'. It
does not add what the machine lacks. The other engines always use the best of the machine, so that they do not take part then.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = {"document": "resnet50"}
# What oneDNN and OpenVINO call our instruction sets.
ISAS = {"scalar": None, "avx2": "AVX2", "avxvnni": "AVX2_VNNI", "avx512": "AVX512_CORE", "avx512vnni": "AVX512_CORE_VNNI",
        "avx512bf16": "AVX512_CORE_BF16", "amx": "AVX512_CORE_AMX"}


def timed(run, seconds):
    """Milliseconds of each run of some seconds, after a warm-up of a fifth of them."""
    times = []
    for budget in (seconds / 5, seconds):
        times = []
        start = time.perf_counter()
        while len(times) < 3 or time.perf_counter() - start < budget:
            before = time.perf_counter()
            run()
            times.append((time.perf_counter() - before) * 1e3)
    return times


def spread(times):
    ordered = sorted(times)
    return ordered[0], statistics.median(ordered), ordered[round((len(ordered) - 1) * 0.9)]


class Resnet:
    """This project's compiled networks: a process of its own each round."""

    def __init__(self, case, arguments, threads):
        options = [case.model, "--weights", str(case.weights),
                   "--threads", str(threads), "--precision", arguments.precision]
        if arguments.isa:
            options += ["--isa", arguments.isa]
        self.case = case
        self.run, self.bench = self.commands(arguments, options, ["--batch", str(case.batch)])

    def commands(self, arguments, options, batch):
        """What computes the scores of a file, and what times."""
        command = [arguments.compiled, *options, *batch]
        return command, command

    def scores(self):
        with tempfile.TemporaryDirectory() as folder:
            image, output = f"{folder}/x.npy", f"{folder}/y.npy"
            np.save(image, np.ascontiguousarray(self.case.image.transpose(0, 2, 3, 1)))
            subprocess.run([*self.run, "--input", image, "--output", output], check=True)
            return np.load(output).reshape(self.case.batch, -1)

    def round(self, seconds):
        command = [*self.bench, "--seconds", str(seconds), "--json"]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return report["min_ms"], report["median_ms"], report["p90_ms"]


class ResnetExecuted(Resnet):
    """The same networks by the command line, which executes their plans."""

    def commands(self, arguments, options, batch):
        if arguments.precision == "int8" and self.case.calibration.exists():
            options = [*options, "--calibration", str(self.case.calibration)]
        return [arguments.resnet, "run", *options], [arguments.resnet, "bench", *options, *batch]


class OnnxRuntime:
    def __init__(self, case, arguments, threads):
        import onnxruntime
        if arguments.precision == "bf16":
            raise RuntimeError("it does not compute in bf16")
        if arguments.isa:
            raise RuntimeError("its instruction set cannot be limited")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        session = onnxruntime.InferenceSession(str(case.onnx), options, providers=["CPUExecutionProvider"])
        self.run = lambda: session.run(None, {"image": case.image})[0]

    def scores(self):
        return self.run()

    def round(self, seconds):
        return spread(timed(self.run, seconds))


class OpenVino:
    def __init__(self, case, arguments, threads):
        if arguments.isa:
            limit = ISAS[arguments.isa]
            if limit is None:
                raise RuntimeError(f"it cannot be limited to {arguments.isa}")
            # Both are read only once, as early as at the import: one for the kernels of oneDNN, one for its own.
            os.environ.update(ONEDNN_MAX_CPU_ISA=limit, OV_CPU_MAX_ISA=limit)
        import openvino
        compiled = openvino.Core().compile_model(str(case.onnx), "CPU", {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if arguments.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
        request = compiled.create_infer_request()
        self.run = lambda: request.infer([case.image], share_inputs=True, share_outputs=True)[0]

    def scores(self):
        return np.array(self.run())

    def round(self, seconds):
        return spread(timed(self.run, seconds))


class RustPeer:
    """rten or tract: a process of its own each round (benches/peers/rust)."""

    engine = None

    def __init__(self, case, arguments, threads):
        if arguments.precision != "f32":
            raise RuntimeError("it computes in f32")
        if arguments.isa:
            raise RuntimeError("its instruction set cannot be limited")
        if not Path(arguments.peers).exists():
            raise RuntimeError(f"{arguments.peers} is not there")
        if self.engine == "tract" and threads > 1:
            raise RuntimeError("tract runs on one thread")
        self.command = [arguments.peers, self.engine, str(case.onnx), str(case.input)]
        self.environment = {**os.environ, "RTEN_NUM_THREADS": str(threads)}
        self.output = tempfile.NamedTemporaryFile(suffix=".npy")
        self.batch = case.batch

    def scores(self):
        self.round(0.0)
        return np.load(self.output.name).reshape(self.batch, -1)

    def round(self, seconds):
        command = self.command + [str(seconds), self.output.name]
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=self.environment)
        return spread(json.loads(result.stdout)["times_ms"])


class Rten(RustPeer):
    engine = "rten"


class Tract(RustPeer):
    engine = "tract"


CONTENDERS = {"resnet": Resnet, "resnet-executed": ResnetExecuted, "onnxruntime": OnnxRuntime, "openvino": OpenVino,
              "rten": Rten, "tract": Tract}


class Case:
    def __init__(self, argument, folder, precision):
        self.name, _, batch = argument.partition(":")
        self.batch = int(batch or 1)
        # A name with a folder is a spec's.
        self.model = self.name if "/" in self.name else OURS.get(self.name, f"torchvision/{self.name}")
        file = f"{folder}/{self.name.replace('/', '-')}"
        stem = f"{file}-b{self.batch}"
        # bf16 is made of the f32 network by the engine itself.
        self.onnx = Path(f"{stem}-int8.onnx" if precision == "int8" else f"{stem}.onnx")
        self.input = Path(f"{stem}.npy")
        self.weights = Path(f"{file}.safetensors")
        # Of a network whose table does not ship.
        self.calibration = Path(f"{file}.calibration.yaml")
        self.image = np.load(self.input)


def race(case, arguments, threads):
    entered, scores = {}, {}
    for name in arguments.engines:
        try:
            entered[name] = CONTENDERS[name](case, arguments, threads)
            scores[name] = entered[name].scores()
        except (ImportError, RuntimeError, subprocess.CalledProcessError) as error:
            entered.pop(name, None)
            print(f"{name} does not take part: {error}", file=sys.stderr)
    reference = next(iter(scores.values()), None)
    for name, found in scores.items():
        apart = np.abs(found - reference).max() / np.abs(reference).max()
        if not apart < {"f32": 1e-4, "bf16": 0.02, "int8": 0.1}[arguments.precision]:
            sys.exit(f"{name} does not agree: {apart:.1e} of the largest score")
    rounds = {name: [] for name in entered}
    for _ in range(arguments.rounds):
        for name, contender in entered.items():
            rounds[name].append(contender.round(arguments.seconds))
    figures = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in rounds.items()}
    peers = (figure[1] for name, figure in figures.items() if not isinstance(entered[name], Resnet))
    best = min(peers, default=float("nan"))
    for name, (least, median, p90) in figures.items():
        ratio = f"{median / best:.2f}"
        print(f"| {case.name} | {case.batch} | {threads} | {name} | {least:.2f} | {median:.2f} | {p90:.2f} | {ratio} |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", metavar="NAME[:BATCH]")
    parser.add_argument("--onnx", default="/tmp/onnx", help="folder of onnx_models.py")
    parser.add_argument("--compiled", default=str(ROOT / "target/peers/release/compiled"))
    parser.add_argument("--resnet", default=str(ROOT / "target/release/resnet"), help="the command line: `resnet-executed`")
    parser.add_argument("--peers", default=str(ROOT / "target/peers/release/peers"))
    parser.add_argument("--precision", choices=["f32", "bf16", "int8"], default="f32")
    parser.add_argument("--isa", choices=ISAS, help="of ours and OpenVINO; the others do not take part")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", choices=CONTENDERS,
                        default=[name for name in CONTENDERS if name != "resnet-executed"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    if len(arguments.cases) == len(arguments.threads) == 1:
        return race(Case(arguments.cases[0], arguments.onnx, arguments.precision), arguments, arguments.threads[0])
    print("| network | batch | threads | engine | min, ms | median | p90 | of the best peer |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    # A process a race: engines look only once at how many cores they have.
    options = ["--engines", *arguments.engines]
    for option in ("onnx", "compiled", "resnet", "peers", "precision", "isa", "rounds", "seconds"):
        value = getattr(arguments, option)
        options += [] if value is None else [f"--{option}", str(value)]
    for case in arguments.cases:
        for threads in arguments.threads:
            command = [sys.executable, __file__, case, "--threads", str(threads), *options]
            subprocess.run(["taskset", "-c", f"0-{threads - 1}", *command], check=True)


if __name__ == "__main__":
    main()
