#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python predictor that the server replaces, under the real KServe, tuned as far as that goes:
no pandas, a dictionary look-up a value, one thread, inference mode, uvloop, no gRPC, no log line
a request.

usage: MODEL_PATH=.. ENCODER_PATH=.. tests/bench/peer_kserve.py --http_port PORT
"""
import logging
import os
import sys

import kserve
import torch

import peer_model


class Predictor(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.encode = peer_model.Encoder(os.environ["ENCODER_PATH"])
        self.network = peer_model.Network(peer_model.load_state(os.environ["MODEL_PATH"]))
        self.ready = True

    def scores(self, columns):
        with torch.inference_mode():
            return self.network(*self.encode(columns)).tolist()

    def predict(self, payload, headers=None):
        instances = payload["inputs"] if "inputs" in payload else payload["instances"]
        return {"predictions": [[score] for columns in instances for score in self.scores(columns)]}


def main():
    torch.set_num_threads(1)
    server = kserve.ModelServer(enable_grpc=False, enable_latency_logging=False, event_loop="uvloop")
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([Predictor("dcnv2")])


if __name__ == "__main__":
    sys.exit(main())
