#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a served model for click-through rates in every way a client has: v1 and v2, through KServe's
InferenceRESTClient and through requests. All four must agree.

    TOKEN=$(kubectl create token default-editor -n kubeflow-user-example-com \\
        --audience=istio-ingressgateway.istio-system.svc.cluster.local --duration=24h)
    HOST=$(kubectl get inferenceservice dcnv2 -n kubeflow-user-example-com \\
        -o jsonpath='{.status.url}' | cut -d / -f 3)
    pip install -r deploy/client/requirements.txt
    python3 deploy/client/infer.py --token "$TOKEN" --host "$HOST"

Exit codes: 0 four equal answers, 1 a request failed or answers differ, 2 wrong usage.
"""
import argparse
import asyncio
import json
import os
import sys
import urllib.parse

INPUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../model/input.json")
TIMEOUT_S = 30

# What a status that is not the model's own usually means here.
HINTS = {
    302: "sent to the login page: no token; give --token",
    401: "the token is bad, expired or of another issuer; make a new one with kubectl create token",
    403: "no token, or one for another audience; see --token above",
    404: "no such host or model behind this address: check --host (kubectl get inferenceservice) and --model",
    503: "no pod is ready; see kubectl get pods -n kubeflow-user-example-com",
    504: "no answer in the gateway's time limit",
}


class RequestFailed(Exception):
    """What went wrong, as one line for a person."""


def explain(status, text):
    """The server says what is wrong as {"error": ..}; a gateway says it by its status."""
    try:
        message = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        message = " ".join(text.split())[:200]
    hint = HINTS.get(status)
    return "status %d%s%s" % (status, ": " + message if message else "", " (%s)" % hint if hint else "")


def post(url, body, headers, timeout):
    """The reply's JSON, by requests."""
    import requests  # here, so that --help needs no package
    try:
        reply = requests.post(url, json=body, headers=headers, timeout=timeout, allow_redirects=False)
    except requests.RequestException as error:
        raise RequestFailed("no answer from %s: %s (is kubectl port-forward running?)" % (url, type(error).__name__)) from error
    if reply.status_code != 200:
        raise RequestFailed(explain(reply.status_code, reply.text))
    return reply.json()


def ask_kserve(protocol, url, data, model, headers, timeout):
    """What KServe's client returns: a dict for v1, an InferResponse for v2."""
    from kserve import InferenceRESTClient, RESTConfig  # takes seconds: not before it is needed

    async def run():
        # Its own retries would hide what is wrong.
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=timeout, retries=0))
        try:
            return await client.infer(url, data, model_name=model, headers=headers)
        finally:
            await client.close()
    try:
        return asyncio.run(run())
    except Exception as error:  # httpx's errors are not part of KServe's interface
        reply = getattr(error, "response", None)
        if reply is not None:
            raise RequestFailed(explain(reply.status_code, reply.text)) from error
        raise RequestFailed("no answer from %s: %s (is kubectl port-forward running?)" % (url, type(error).__name__)) from error


def tensors(columns):
    """Columns as (name, datatype, values) of a v2 request: texts for categories, numbers for the rest."""
    for name, values in columns.items():
        values = values if isinstance(values, list) else [values]
        numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        yield name, "FP64" if numeric else "BYTES", values


def v2_body(columns):
    return {"inputs": [{"name": name, "shape": [len(values)], "datatype": datatype, "data": values}
                       for name, datatype, values in tensors(columns)],
            "parameters": {"content_type": "pd"}}


def v2_request(model, columns):
    from kserve import InferInput, InferRequest
    return InferRequest(model, [InferInput(name, [len(values)], datatype, data=values)
                                for name, datatype, values in tensors(columns)],
                        parameters={"content_type": "pd"})


def read_input(path):
    """The columns of a v1 body with one instance."""
    try:
        with open(path, encoding="utf-8") as file:
            body = json.load(file)
        [columns] = body.get("inputs") or body["instances"]
        if not isinstance(columns, dict):
            raise ValueError("the instance is not an object of columns")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestFailed("%s: expected a v1 body with one instance of columns, as model/input.json is: %s"
                            % (path, error)) from error
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--token", default=os.environ.get("TOKEN"), help="for the ingress; inside the cluster none is needed (TOKEN)")
    parser.add_argument("--host", default=os.environ.get("SERVICE_HOSTNAME"), help="the service's host name, where --url is the ingress (SERVICE_HOSTNAME)")
    parser.add_argument("--url", default="http://localhost:8080", help="where to connect (%(default)s)")
    parser.add_argument("--model", default="dcnv2", help="the model's name (%(default)s)")
    parser.add_argument("--input", default=INPUT, help="a v1 body with one instance (model/input.json)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds a request may take (%(default)s)")
    arguments = parser.parse_args()

    url, model, timeout = arguments.url.rstrip("/"), arguments.model, arguments.timeout
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        parser.error("--url: expected http://HOST:PORT, not %s" % url)
    if not timeout > 0:
        parser.error("--timeout: expected seconds above 0, not %g" % timeout)
    headers = {}
    if arguments.host:
        headers["Host"] = arguments.host
    if arguments.token:
        headers["Authorization"] = "Bearer " + arguments.token

    def scores_v1(reply):
        return [row[0] for row in reply["predictions"]]

    try:
        columns = read_input(arguments.input)
    except RequestFailed as failure:
        sys.exit("infer.py: %s" % failure)
    ways = {
        "v1, requests": lambda: scores_v1(post("%s/v1/models/%s:predict" % (url, model), {"inputs": [columns]}, dict(headers), timeout)),
        "v1, InferenceRESTClient": lambda: scores_v1(ask_kserve("v1", url, {"inputs": [columns]}, model, dict(headers), timeout)),
        "v2, requests": lambda: post("%s/v2/models/%s/infer" % (url, model), v2_body(columns), dict(headers), timeout)["outputs"][0]["data"],
        "v2, InferenceRESTClient": lambda: list(ask_kserve("v2", url, v2_request(model, columns), model, dict(headers), timeout).outputs[0].data),
    }
    answers = []
    for name, ask in ways.items():
        try:
            answers.append(ask())
        except RequestFailed as failure:
            sys.exit("infer.py: %s: %s" % (name, failure))
        except ImportError as error:
            sys.exit("infer.py: %s: pip install -r deploy/client/requirements.txt" % error)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            sys.exit("infer.py: %s: the reply is not a prediction: %s: %s" % (name, type(error).__name__, error))
        print("%-24s %s" % (name, answers[-1]))
    if any(answer != answers[0] for answer in answers):
        sys.exit("infer.py: the answers differ")


if __name__ == "__main__":
    main()
