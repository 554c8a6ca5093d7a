# SPDX-License-Identifier: Apache-2.0
"""The notebook's encoder, network and training, in pandas, scikit-learn and PyTorch.

    VENV/bin/python tests/bench/peer_notebook.py --train train.csv --test test.csv --label clk \\
        --dense price --sparse userid,.. --epochs 3 --seeds 1,2,3 [--starts FOLDER]

prints a line of JSON a seed: AUC and log loss of the test data after each epoch. As the notebook
does, it shuffles once, not each epoch; it takes Adam's fused form, the same steps in less time.
With --starts the pair of each seed is saved in FOLDER/SEED before it is trained, and the rows come in
the order of dcnv2-train --seed SEED, so that both sides differ in their arithmetic alone.
"""
import argparse
import json
import pathlib
import pickle

import pandas
import torch
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import LabelEncoder, StandardScaler

BATCH, LEARNING_RATE = 128, 1e-3


class FeatureEncoder:
    """Scaler and label encoders. A value that was not fitted is number len(classes_)."""

    def __init__(self, dense, sparse):
        self.dense, self.sparse = dense, sparse
        self.scaler, self.encoders = StandardScaler(), {}

    def fit(self, frame):
        self.scaler.fit(frame[self.dense].fillna(0))
        for column in self.sparse:
            self.encoders[column] = LabelEncoder().fit(frame[column].astype(str))
        return self

    def transform(self, frame):
        """FP32 [rows, dense], int64 [rows, sparse]"""
        dense = torch.tensor(self.scaler.transform(frame[self.dense].fillna(0)), dtype=torch.float32)
        columns = []
        for column in self.sparse:
            classes = self.encoders[column].classes_
            numbers = {text: i for i, text in enumerate(classes)}
            columns.append([numbers.get(text, len(classes)) for text in frame[column].astype(str)])
        return dense, torch.tensor(columns).t().contiguous()

    def n_rows(self):
        """Of each embedding table."""
        return [len(self.encoders[column].classes_) + 1 for column in self.sparse]

    def save(self, path):
        with open(path, "wb") as file:
            pickle.dump((self.scaler, self.encoders), file)

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            scaler, encoders = pickle.load(file)
        found = cls(list(scaler.feature_names_in_), list(encoders))
        found.scaler, found.encoders = scaler, encoders
        return found


class DCNv2(torch.nn.Module):
    """src/model/network.h has the equations: cross layers with layer norm."""

    def __init__(self, n_dense, n_rows, embedding=8, n_cross=2, deep=(128, 64)):
        super().__init__()
        width = n_dense + embedding * len(n_rows)
        self.embeddings = torch.nn.ModuleList(torch.nn.Embedding(n, embedding) for n in n_rows)
        self.cross_layers = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.LayerNorm(width)) for _ in range(n_cross))
        layers, n_in = [], width
        for n_out in deep:
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
            n_in = n_out
        self.dnn = torch.nn.Sequential(*layers)
        self.output = torch.nn.Linear(width + n_in, 1)

    def forward(self, dense, sparse):
        x0 = torch.cat([dense] + [table(sparse[:, i]) for i, table in enumerate(self.embeddings)], 1)
        cross = x0
        for layer in self.cross_layers:
            cross = layer(cross) + cross
        return torch.sigmoid(self.output(torch.cat([cross, self.dnn(x0)], 1))).squeeze(1)


def score(model, dense, sparse):
    with torch.no_grad():
        return torch.cat([model(dense[i:i + 4096], sparse[i:i + 4096]) for i in range(0, len(dense), 4096)])


def notebooks_order(n_rows, seed, epoch):
    return torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))


class Xoshiro:
    """src/backend/random.h in Python."""
    MASK = 2**64 - 1

    def __init__(self, seed, stream):
        state = self.splitmix(seed)[0] ^ self.rotate(self.splitmix(stream)[0], 32)
        self.state = []
        for _ in range(4):
            number, state = self.splitmix(state)
            self.state.append(number)

    def rotate(self, value, n):
        return (value << n | value >> (64 - n)) & self.MASK

    def splitmix(self, state):
        state = z = (state + 0x9E3779B97F4A7C15) & self.MASK
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & self.MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & self.MASK
        return z ^ z >> 31, state

    def below(self, bound):
        s, product = self.state, 0
        while product & self.MASK < 2**64 % bound or product == 0:
            product = self.rotate(s[1] * 5 & self.MASK, 7) * 9 % 2**64 * bound
            shifted = s[1] << 17 & self.MASK
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= shifted
            s[3] = self.rotate(s[3], 45)
        return product >> 64


def trainers_order(n_rows, seed, epoch):
    """src/train/sampler.c in Python: another order each epoch."""
    random, order = Xoshiro(seed, 2**32 + epoch), list(range(n_rows))
    for i in range(n_rows, 1, -1):
        k = random.below(i)
        order[i - 1], order[k] = order[k], order[i - 1]
    return torch.tensor(order)


def train(model, data, epochs, seed, after_epoch=lambda: None, order_of=notebooks_order):
    """data: dense, sparse, labels."""
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    loss = torch.nn.BCELoss()
    for epoch in range(epochs):
        model.train()
        for rows in order_of(len(data[0]), seed, epoch).split(BATCH):
            adam.zero_grad()
            loss(model(data[0][rows], data[1][rows]), data[2][rows]).backward()
            adam.step()
        model.eval()
        after_epoch()


def labels_of(frame, label):
    return torch.tensor(frame[label].to_numpy(), dtype=torch.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--test", "--label", "--dense", "--sparse", "--seeds"):
        parser.add_argument(name, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--starts", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    frames = [pandas.read_csv(path) for path in (arguments.train, arguments.test)]
    encoder = FeatureEncoder(arguments.dense.split(","), arguments.sparse.split(",")).fit(frames[0])
    data, test = ((*encoder.transform(frame), labels_of(frame, arguments.label)) for frame in frames)
    for seed in map(int, arguments.seeds.split(",")):
        torch.manual_seed(seed)
        model = DCNv2(len(encoder.dense), encoder.n_rows())
        epochs = []
        if arguments.starts:
            place = arguments.starts / str(seed)
            place.mkdir(parents=True)
            torch.save(model.state_dict(), place / "model_weights.pth")
            encoder.save(place / "preprocess_metadata.pkl")

        def measure():
            scores = score(model, *test[:2]).double()
            epochs.append({"auc": roc_auc_score(test[2], scores), "log_loss": log_loss(test[2], scores)})
        train(model, data, arguments.epochs, seed, measure, trainers_order if arguments.starts else notebooks_order)
        print(json.dumps({"seed": seed, "epochs": epochs}), flush=True)


if __name__ == "__main__":
    main()
