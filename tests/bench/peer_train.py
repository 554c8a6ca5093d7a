# SPDX-License-Identifier: Apache-2.0
"""Rows a second that PyTorch trains on, as a line of JSON: the rows and the network of train_speed.c.

    VENV/bin/python tests/bench/peer_train.py --form notebook|fused|bare --batches 400

notebook: its own loop, with DataLoader, DistributedDataParallel (one process) and Adam; fused: the same
with Adam(fused=True); bare: that without loader and without DDP, batches cut from tensors.
"""
import argparse
import json
import os
import socket
import time

import torch
from peer_notebook import BATCH, LEARNING_RATE, DCNv2
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

CARDINALITIES = (48325, 96, 14, 3, 8, 5, 4, 3, 6, 97760, 3665, 78179, 58807, 29655, 3, 2)
WARM_UP = 20  # batches


def generate(n_rows):
    """dense, sparse, labels: value k of a column with a chance in proportion to 1 / (k + 1)."""
    random = torch.Generator().manual_seed(1)
    columns = [torch.multinomial(1 / torch.arange(1, n + 1, dtype=torch.float64), n_rows, True, generator=random)
               for n in CARDINALITIES]
    dense, labels = torch.rand(n_rows, 1, generator=random), torch.rand(n_rows, generator=random) < 0.039
    return dense, torch.stack(columns, 1), labels.float()


def join_group():
    """DDP of one process, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)


def batches_of(data, form):
    if form == "bare":
        return ([part[rows] for part in data] for rows in torch.randperm(len(data[0])).split(BATCH))
    rows = TensorDataset(*data)
    return DataLoader(rows, batch_size=BATCH, sampler=DistributedSampler(rows, num_replicas=1, rank=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("notebook", "fused", "bare"), required=True)
    parser.add_argument("--batches", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    data = generate((arguments.batches + WARM_UP) * BATCH)
    model = DCNv2(1, [n + 1 for n in CARDINALITIES])
    if arguments.form != "bare":
        join_group()
        model = torch.nn.parallel.DistributedDataParallel(model)
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=arguments.form != "notebook")
    loss_of, total = torch.nn.BCELoss(), 0.0
    for i, (dense, sparse, labels) in enumerate(batches_of(data, arguments.form)):
        if i == WARM_UP:
            wall, cpu = time.perf_counter(), time.process_time()
        adam.zero_grad()
        loss = loss_of(model(dense, sparse), labels)
        loss.backward()
        adam.step()
        total += loss.item()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n_rows = arguments.batches * BATCH
    print(json.dumps({"form": arguments.form, "rows": n_rows, "rows_per_second": n_rows / wall,
                      "rows_per_cpu_second": n_rows / cpu, "mean_loss": total / (arguments.batches + WARM_UP)}))
    if arguments.form != "bare":
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
