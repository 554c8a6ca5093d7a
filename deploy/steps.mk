# SPDX-License-Identifier: Apache-2.0
# The steps on a cluster, in the order of docs/cluster.md. Each says what is missing before it starts. IMAGE
# names the server's image; the trainer's follows it (dcnv2-server -> dcnv2-trainer) unless TRAINER_IMAGE is given.

.PHONY: cluster kind-load kubeflow registry-secret storage train-job serve security monitoring notebooks forward infer \
    load-cluster manifests-check

cluster: ## step 0: a kind cluster for Kubeflow
	$(Q)deploy/cluster/create.sh

kind-load: ## build server and trainer and load them into kind, where there is no registry
	$(Q)deploy/cluster/load.sh

kubeflow: ## step 1: Kubeflow without Pipelines, Katib and Spark, at its pinned release
	$(Q)deploy/kubeflow/install.sh

registry-secret: ## step 1: let pods pull images with the login of docker login
	$(Q)deploy/step.sh registry-secret

storage: ## step 2: the volume torch-workspace
	$(Q)deploy/step.sh storage

notebooks: ## step 2: a notebook server with the volume, train.ipynb and inference.ipynb
	$(Q)deploy/step.sh notebooks

train-job: ## step 2: train on two nodes, show the log (IMAGE=.., TRAIN=pytorchjob, OUTPUT=/workspace/next)
	$(Q)TRAIN=$(TRAIN) deploy/step.sh train-job

serve: ## step 4: the InferenceService, with new pods each time (IMAGE=.., OVERLAY=knative, raw, canary, ..)
	$(Q)OVERLAY=$(OVERLAY) deploy/step.sh serve

security: ## step 4: let in the ingress and the platform's probes, and nobody else
	$(Q)deploy/step.sh security

forward: ## step 4: the ingress on localhost:8080, until Ctrl-C
	$(Q)URL=$(URL) deploy/step.sh forward

infer: ## step 4: make a token, ask through the ingress in four ways
	$(Q)URL=$(URL) deploy/step.sh infer

load-cluster: ## step 5: load through the ingress with hey, count the pods (LOAD_SECONDS=30)
	$(Q)URL=$(URL) deploy/step.sh load-cluster

monitoring: ## what Prometheus scrapes, alerts, a Grafana dashboard
	$(Q)deploy/step.sh monitoring

manifests-check: ## check every manifest against the real schemas
	$(Q)MANIFESTS_NEED_CRDS=1 python3 tests/run.py --only manifests
