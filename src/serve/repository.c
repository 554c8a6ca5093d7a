/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/repository.h"

#include "log.h"
#include "serve/predict.h"
#include "serve/reply.h"

/* REASON of "FILE: REASON", and which of the model's files that is: a path is for the log only. */
static const char *reason_of(const char *message, const struct config *config,
                             const char **ret_role)
{
    const char *paths[] = {config->source.model_path, config->source.encoder_path};
    const char *roles[] = {"model file: ", "encoder file: "};
    for (int i = 0; i < 2; i++) {
        const size_t length = strlen(paths[i]);
        if (strncmp(message, paths[i], length) == 0 && strncmp(message + length, ": ", 2) == 0) {
            *ret_role = roles[i];
            return message + length + 2;
        }
    }
    *ret_role = "";
    return message;
}

/* true: a reply is set, since the model that is named cannot be loaded or unloaded. */
static bool refuse_change(struct request *request)
{
    predict_score(request->thread); /* what waits holds the model that is to go */
    if (!request->thread->service->config->enable_model_repository)
        reply_failure(request, 404,
                      "The model repository is off; the server was not started with "
                      "--enable_model_repository true.");
    else if (request->model == NULL)
        reply_no_model(request);
    else
        return false;
    return true;
}

static void log_changed(const struct request *request, const char *how)
{
    log_request(LOG_LEVEL_INFO, request_head_id(&request->head), "model %s %s",
                request->model->name, how);
}

static void reply_not_loaded(struct request *request, const struct dcnv2_error *error)
{
    const struct served_model *model = request->model;
    const char *role, *reason = reason_of(error->message, request->thread->service->config, &role);
    log_request(LOG_LEVEL_WARNING, request_head_id(&request->head), "model not loaded, %s: %s",
                registry_has_model(model->registry) ? "the old one goes on" : "none is in service",
                error->message);
    reply_failure(request, error->status == DCNV2_ERROR_MEMORY ? 503 : 400,
                  "Model with name %s was not loaded: %s%s", model->name, role, reason);
}

bool repository_load(struct request *request)
{
    struct dcnv2_error error;
    if (refuse_change(request))
        return false;
    if (registry_load(request->model->registry, &error) != DCNV2_OK) {
        reply_not_loaded(request, &error);
        return false;
    }
    log_changed(request, "loaded");
    return true;
}

bool repository_unload(struct request *request)
{
    if (refuse_change(request))
        return false;
    if (!registry_unload(request->model->registry)) {
        reply_no_model(request);
        return false;
    }
    log_changed(request, "unloaded");
    return true;
}
