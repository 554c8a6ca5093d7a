/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr_layers.c: cross layers, deep parts and the output, as their tensors tell. */
#include <inttypes.h>

#include "network/fuxictr_reading.h"
#include "network/kinds.h"

/* ---- cross layers ---- */

/* The tensor of a role in cross layer N: START N END. */
struct cross_role {
    unsigned role;
    const char *start, *end;
    bool is_transposed;
};

/* A class of FuxiCTR's, by its cross layers. The first role is always there. */
static const struct cross_form {
    const char *model;
    enum layer_kind kind;
    struct cross_role roles[5];
} forms[] = {
    {"DCNv2",
     LAYER_CROSS_FULL,
     {{ROLE_WEIGHT, "crossnet.cross_layers.", ".weight", false},
      {ROLE_BIAS, "crossnet.cross_layers.", ".bias", false}}},
    {"DCNv2",
     LAYER_CROSS_MIXTURE,
     {{CROSS_U, "crossnet.U_list.", "", false},
      {CROSS_V, "crossnet.V_list.", "", true},
      {CROSS_C, "crossnet.C_list.", "", false},
      {ROLE_BIAS, "crossnet.bias.", "", false}}},
    {"DCN",
     LAYER_CROSS_VECTOR,
     {{ROLE_WEIGHT, "crossnet.cross_net.", ".weight.weight", false},
      {ROLE_BIAS, "crossnet.cross_net.", ".bias", false}}},
    {"GDCN",
     LAYER_CROSS_GATED,
     {{ROLE_WEIGHT, "cross_net.w.", ".weight", false},
      {ROLE_BIAS, "cross_net.b.", "", false},
      {GATED_GATE, "cross_net.wg.", ".weight", false}}},
};

static bool has_layer(const struct fuxictr_reading *reading, const struct cross_form *form,
                      uint32_t number)
{
    const struct cross_role *role = &form->roles[0];
    return fuxictr_tensor(reading, "%s%u%s", role->start, number, role->end) != NULL;
}

/* The form of which there is a first layer, or NULL. */
static const struct cross_form *find_form(const struct fuxictr_reading *reading)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (has_layer(reading, &forms[i], 0))
            return &forms[i];
    return NULL;
}

/* One gate per expert, which all layers share. */
static int add_gates(struct fuxictr_reading *reading, struct spec_layer *layer)
{
    uint32_t n = 0;
    while (n < SPEC_MAX_LAYERS && fuxictr_tensor(reading, "crossnet.gating.%u.weight", n))
        n++;
    struct tensor_part *parts = maker_room(&reading->maker, n, sizeof *parts);
    if (parts == NULL)
        return format_error_memory(reading->error);
    for (uint32_t i = 0; i < n; i++)
        parts[i].name = maker_text(&reading->maker, "crossnet.gating.%u.weight", i);
    layer->tensors[CROSS_GATE] = (struct tensor_stack){parts, n};
    layer->activation = ACTIVATE_TANH;
    return 0;
}

static int add_cross(struct fuxictr_reading *reading, const struct cross_form *form,
                     uint32_t number, uint32_t x0)
{
    struct maker *maker = &reading->maker;
    struct spec_layer *layer =
        maker_layer(maker, form->kind, maker_text(maker, "cross.%u", number), maker_last(maker));
    layer->x0 = x0;
    for (const struct cross_role *role = form->roles; role->start; role++) {
        struct tensor_part *part = maker_room(maker, 1, sizeof *part);
        if (part == NULL)
            return format_error_memory(reading->error);
        part->name = maker_text(maker, "%s%u%s", role->start, number, role->end);
        part->is_transposed = role->is_transposed;
        layer->tensors[role->role] = (struct tensor_stack){part, 1};
    }
    return form->kind == LAYER_CROSS_MIXTURE ? add_gates(reading, layer) : 0;
}

static int add_crosses(struct fuxictr_reading *reading, const struct cross_form *form, uint32_t x0)
{
    uint32_t n = 0;
    for (; form && n < SPEC_MAX_LAYERS && has_layer(reading, form, n); n++)
        if (add_cross(reading, form, n, x0) != 0)
            return -1;
    return fuxictr_check_number(reading, "num_cross_layers", n);
}

/* ---- the structure ---- */

static bool starts_with(struct text name, const char *start)
{
    const size_t length = strlen(start);
    return name.length > length && memcmp(name.at, start, length) == 0;
}

static bool has_part(const struct fuxictr_reading *reading, const char *stem)
{
    const struct tensor_list *list = reading->source->tensors;
    for (size_t i = 0; i < list->n_tensors; i++)
        if (starts_with(list->tensors[i].name, stem))
            return true;
    return false;
}

/* Tensors that no DCN has are of another model. */
static int check_model(struct fuxictr_reading *reading)
{
    static const char *const stems[] = {"embedding_layer.embedding_layer.",
                                        "crossnet.",
                                        "cross_net.",
                                        "dnn.mlp.",
                                        "stacked_dnn.mlp.",
                                        "parallel_dnn.mlp.",
                                        "fc.",
                                        NULL};
    const struct tensor_list *list = reading->source->tensors;
    for (size_t i = 0; i < list->n_tensors; i++) {
        const char *const *stem = stems;
        while (*stem && !starts_with(list->tensors[i].name, *stem))
            stem++;
        if (*stem == NULL)
            return FUXICTR_FAIL(
                reading,
                "tensor \"%.*s\" is of none of FuxiCTR's DCN, DCNv2 and GDCN, which "
                "are read; describe another network by a model.json "
                "(docs/model-json.md)",
                TEXT_SHOWN(list->tensors[i].name));
    }
    return 0;
}

/* What the class and its parts are called in a configuration. */
static int check_names(struct fuxictr_reading *reading, const struct cross_form *form)
{
    const bool is_stacked = has_part(reading, "stacked_dnn."),
               is_parallel = has_part(reading, "parallel_dnn.");
    const char *structure = is_stacked    ? is_parallel ? "stacked_parallel" : "stacked"
                            : is_parallel ? "parallel"
                                          : "crossnet_only";
    const char *model = form ? form->model : has_part(reading, "dnn.") ? "DCN" : "DCNv2";
    if (form && form->kind == LAYER_CROSS_GATED && has_part(reading, "fc."))
        model = "GDCNP";
    if (fuxictr_check_text(reading, "model", model) != 0)
        return -1;
    return strcmp(model, "DCNv2") == 0 ? fuxictr_check_text(reading, "model_structure", structure)
                                       : 0;
}

static void add_output(struct fuxictr_reading *reading, const uint32_t *inputs, uint32_t n)
{
    struct maker *maker = &reading->maker;
    struct spec_layer *layer = maker_layer(maker, LAYER_OUTPUT, text_of("output"), 0);
    maker_set_inputs(maker, layer, inputs, n);
    layer->tensors[ROLE_WEIGHT] = maker_stack(maker, text_of("fc.weight"));
    fuxictr_add_role(reading, layer, ROLE_BIAS, text_of("fc.bias"));
}

int fuxictr_add_network(struct fuxictr_reading *reading, uint32_t x0)
{
    const struct cross_form *form = find_form(reading);
    if (check_model(reading) != 0 || check_names(reading, form) != 0 ||
        add_crosses(reading, form, x0) != 0)
        return -1;
    uint32_t inputs[2] = {maker_last(&reading->maker)}, n = 1;
    if (form && form->kind == LAYER_CROSS_GATED && !has_part(reading, "fc."))
        return fuxictr_add_deep(reading, "dnn", inputs[0], true);
    if (has_part(reading, "stacked_dnn.")) { /* takes the place of the cross layers' value */
        if (fuxictr_add_deep(reading, "stacked_dnn", inputs[0], false) != 0)
            return -1;
        inputs[0] = maker_last(&reading->maker);
    }
    const char *beside = has_part(reading, "parallel_dnn.") ? "parallel_dnn"
                         : has_part(reading, "dnn.")        ? "dnn"
                                                            : NULL;
    if (beside) {
        if (fuxictr_add_deep(reading, beside, x0, false) != 0)
            return -1;
        inputs[n++] = maker_last(&reading->maker);
    }
    add_output(reading, inputs, n);
    return 0;
}
