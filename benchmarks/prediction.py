"""Masks of 512x512 frames, gwunet and nnU-Net v2 in turn: frames per second, and a cold command's first mask.

    python benchmarks/prediction.py -o OUT --nnunet VENV --nnunet_trainer FILE [--frames 100] [--repeats 3]

Both programs plan the same simulated frames by themselves, are trained for next to no time (masks are poor, their cost
is the same), and predict with one fold, without mirrored copies and without locating wires, by their own commands. Rows
of gwunet: its plan for a CPU, the same in float32, its plan for 15 frames per second, and an FGA-Net of as many
multiply-accumulates in a frame as nnU-Net's network has. The start of a command does not count in frames per second:
its time for all less its time for one, over the others.

VENV and FILE are those of equal_time.py. Writes OUT/prediction.md.
"""

import argparse
import dataclasses
import shutil
import statistics
from pathlib import Path

from gwunet.dataset import Dataset
from gwunet.device import available_cores
from gwunet.jsonio import read_json, write_json
from gwunet.plans import Plans, Spec
from gwunet.synthetic import synthesize_dataset
from shared.installed import installed, run_installed
from shared.nnunet import Peer, copy_for_nnunet, run_logged

NAME, EDGE = "Dataset923_Prediction", 512

PLANNED, REALTIME, EQUAL = "fganet", "fganet_realtime", "fganet_equal"
RATE = "15"
"""Frames per second that the second is planned for."""
EQUAL_FEATURES = (32, 64, 104, 208, 288, 384)
"""FGA-Net with at least as many multiply-accumulates as nnU-Net's network; both counts are printed."""
SECONDS_OF_TRAINING = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A program with its flags."""

    says: str
    command: tuple[str, ...]
    """Without frames and output."""
    suffix: str
    """Of the frames' names."""
    environment: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for everything")
    parser.add_argument("--nnunet", type=Path, required=True, metavar="VENV", help="environment with nnU-Net v2")
    parser.add_argument("--nnunet_trainer", type=Path, required=True, metavar="FILE", help="its timed trainer")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="of each command, the programs in turn")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    peer = Peer(venv=arguments.nnunet.absolute(), trainer=arguments.nnunet_trainer, folder=output / "nnunet")
    peer.check()
    make_frames(output, arguments.frames)
    cost = prepare(output, peer)
    ways = ways_of(output, peer)
    seconds: dict[str, dict[str, list[float]]] = {way.says: {"one": [], "all": []} for way in ways}
    for _ in range(arguments.repeats):
        for way in ways:
            for name in ("one", "all"):
                seconds[way.says][name].append(predict(way, output, name))
                print(way.says, name, f"{seconds[way.says][name][-1]:.1f} s", flush=True)
    text = table(seconds, arguments.frames, cost)
    (output / "prediction.md").write_text(text, encoding="utf-8")
    print(text)


def make_frames(output: Path, frames: int) -> None:
    """A few to plan on, in raw/, and the ones to predict, under both programs' names."""
    raw = output / "workspace" / "raw" / NAME
    if not raw.is_dir():
        tested = -(-frames // 20)
        counts = {"patients": 5 + tested, "test_patients": tested, "sequences": 2, "frames": 10}
        synthesize_dataset(raw, **counts, size=EDGE, processes=available_cores())
    for program, suffix in (("gwunet", ""), ("nnunet", "_0000")):
        for name, count in (("one", 1), ("all", frames)):
            folder = output / "frames" / program / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for path in sorted((raw / "imagesTs").iterdir())[:count]:
                shutil.copy(path, folder / f"{path.stem}{suffix}.png")


def prepare(output: Path, peer: Peer) -> dict[str, float]:
    """Plan and train; multiply-accumulates in a frame, in units of 1e9, by model."""
    workspace = output / "workspace"
    here = ("--workspace", str(workspace))
    plans_file = workspace / "preprocessed" / NAME / "plans.json"
    if not plans_file.is_file():
        target = ("--target_device", "cpu", "--realtime", RATE)
        run_installed("gw_plan_and_preprocess", "-d", NAME, "-c", PLANNED, *target, *here)
        plans = read_json(Plans, plans_file)
        small = plans.configuration(PLANNED)
        arguments = {**small.network.arguments, "features": list(EQUAL_FEATURES)}
        arguments["decoder_features"] = [*EQUAL_FEATURES[-3::-1], EQUAL_FEATURES[0]]
        equal = dataclasses.replace(small, name=EQUAL, network=Spec(name="FGANet", arguments=arguments))
        write_json(plans_file, dataclasses.replace(plans, configurations={**plans.configurations, EQUAL: equal}))
    for name in (PLANNED, REALTIME, EQUAL):
        if not list((workspace / "results" / NAME).glob(f"{name}__*/fold_0/checkpoint_final.pt")):
            run_installed("gw_train", NAME, "0", "-c", name, "--epochs", "1", "--iterations", "2", "--overwrite", *here)
    if not (peer.folder / "results" / NAME).is_dir():
        copy_for_nnunet(Dataset.open(workspace / "raw" / NAME), peer.folder / "raw" / NAME)
        cores = str(available_cores())
        flags = ["-d", NAME[7:10], "-c", "2d", "--verify_dataset_integrity", "-npfp", cores, "-np", cores]
        run_logged([peer.command("nnUNetv2_plan_and_preprocess"), *flags], output / "plan.log", peer.environment())
        run_logged(*peer.training(NAME, "nnUNetPlans", 0, SECONDS_OF_TRAINING, 1, output / "train.log"))
    return {name: gwunet_gmacs(read_json(Plans, plans_file), name) for name in (PLANNED, REALTIME, EQUAL)} | {
        "nnunet": nnunet_gmacs(output, peer)
    }


def gwunet_gmacs(plans: Plans, name: str) -> float:
    """Counted on a frame of 512x512."""
    from gwunet.networks import build_network
    from gwunet.networks.cost import count_cost

    cost = count_cost(build_network(plans.configuration(name)).eval(), (1, EDGE, EDGE))
    return (cost.plain + cost.deformable) / 1e9


def nnunet_gmacs(output: Path, peer: Peer) -> float:
    """Its convolutions' alone, by its own environment, from its plan."""
    script = (
        "import json, sys, torch\n"
        "from nnunetv2.utilities.get_network_from_plans import get_network_from_plans\n"
        "plan = json.load(open(sys.argv[1]))['configurations']['2d']['architecture']\n"
        "names = ('network_class_name', 'arch_kwargs', '_kw_requires_import')\n"
        "network = get_network_from_plans(*(plan[name] for name in names), 1, 2, deep_supervision=False)\n"
        "total = 0\n"
        "def count(layer, given, made):\n"
        "    global total\n"
        "    pixels = given[0][0, 0].numel() if isinstance(layer, torch.nn.ConvTranspose2d) else made[0, 0].numel()\n"
        "    total += pixels * layer.weight.numel()\n"
        "for layer in network.modules():\n"
        "    if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):\n"
        "        layer.register_forward_hook(count)\n"
        "with torch.no_grad():\n"
        f"    network.eval()(torch.zeros(1, 1, {EDGE}, {EDGE}))\n"
        "print('GMACS', total / 1e9)\n"
    )
    log = output / "macs.log"
    plan = peer.folder / "preprocessed" / NAME / "nnUNetPlans.json"
    run_logged([peer.command("python"), "-c", script, str(plan)], log, peer.environment())
    return float(log.read_text(encoding="utf-8").split("GMACS")[1])


def ways_of(output: Path, peer: Peer) -> list[Way]:
    """gwunet's rows, then nnU-Net's."""
    ours = installed("gw_predict")
    # Masks alone, as nnU-Net's: in those of an untrained network there are wires without end to locate.
    masks_alone = ("--disable_tta", "--wires", "none", "--device", "cpu")
    model = (ours, "-d", NAME, "-f", "0", *masks_alone, "--workspace", str(output / "workspace"))
    theirs = (peer.command("nnUNetv2_predict"), "-d", NAME, "-c", "2d", "-f", "0", "-tr", peer.trainer.stem)
    flags = ("-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1")
    return [
        Way(says="gwunet, its CPU plan", command=(*model, "-c", PLANNED), suffix="", environment={}),
        Way(
            says="gwunet, its CPU plan in float32",
            command=(*model, "-c", PLANNED, "--precision", "fp32"),
            suffix="",
            environment={},
        ),
        Way(
            says=f"gwunet, its plan for {RATE} frames per second",
            command=(*model, "-c", REALTIME),
            suffix="",
            environment={},
        ),
        Way(
            says="gwunet, as many multiply-accumulates",
            command=(*model, "-c", EQUAL),
            suffix="",
            environment={},
        ),
        Way(says="nnU-Net", command=(*theirs, *flags), suffix="_0000", environment=peer.environment()),
    ]


def predict(way: Way, output: Path, name: str) -> float:
    """Seconds of a command on the frames of this name; all masks must be there."""
    masks = output / "masks"
    shutil.rmtree(masks, ignore_errors=True)
    frames = output / "frames" / ("nnunet" if way.suffix else "gwunet") / name
    seconds = run_logged(
        [*way.command, "-i", str(frames), "-o", str(masks)], output / f"predict_{name}.log", way.environment
    )
    wanted = {path.stem.removesuffix(way.suffix) for path in frames.iterdir()}
    missing = wanted - {path.stem for path in masks.glob("*.png")}
    if missing:
        raise SystemExit(f"{way.says}: no masks of {len(missing)} frames; see {output / f'predict_{name}.log'}")
    return seconds


def table(seconds: dict[str, dict[str, list[float]]], frames: int, cost: dict[str, float]) -> str:
    """Markdown."""
    rate = {
        says: (frames - 1) / (statistics.median(found["all"]) - statistics.median(found["one"]))
        for says, found in seconds.items()
    }
    counts = (cost[PLANNED], cost[PLANNED], cost[REALTIME], cost[EQUAL], cost["nnunet"])
    lines = [
        f"{frames} frames of {EDGE}x{EDGE}, {available_cores()} cores, medians of {len(seconds['nnU-Net']['one'])}",
        "",
        "| | 1e9 multiply-accumulates | command on one frame, s | on all, s | frames per second | over nnU-Net's |",
        "|---|---|---|---|---|---|",
    ]
    for (says, found), count in zip(seconds.items(), counts, strict=True):
        one, whole = statistics.median(found["one"]), statistics.median(found["all"])
        ratio = rate[says] / rate["nnU-Net"]
        lines.append(f"| {says} | {count:.1f} | {one:.1f} | {whole:.1f} | {rate[says]:.2f} | {ratio:.1f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
