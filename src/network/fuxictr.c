/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr.c: a whole folder of FuxiCTR. */
#include <stdio.h>

#include "network/fuxictr_reading.h"
#include "network/yaml_tree.h"

int fuxictr_name_file(struct fuxictr_reading *reading, const char *file)
{
    const struct format_error found = *reading->error;
    return found.out_of_memory ? -1 : FUXICTR_FAIL(reading, "%s: %s", file, found.message);
}

/*
 * ---- model_config.yaml: a section per experiment, and one called Base, whose keys hold for all of
 * them
 */

const struct json_node *fuxictr_setting(const struct fuxictr_reading *reading, const char *key)
{
    const struct json_node *node = reading->section ? json_tree_find(reading->section, key) : NULL;
    if (node == NULL && reading->base)
        node = json_tree_find(reading->base, key);
    return node && node->kind != JSON_NULL ? node : NULL;
}

int fuxictr_check_text(struct fuxictr_reading *reading, const char *key, const char *told)
{
    const struct json_node *node = fuxictr_setting(reading, key);
    struct text text;
    if (node == NULL)
        return 0;
    if (json_tree_text(node, &text, reading->error) == 0 && text_is(text, told))
        return 0;
    json_tree_unexpected(node, reading->error, told);
    return fuxictr_name_file(reading, FUXICTR_CONFIG);
}

int fuxictr_check_number(struct fuxictr_reading *reading, const char *key, uint32_t told)
{
    const struct json_node *node = fuxictr_setting(reading, key);
    if (node == NULL || (node->kind == JSON_NUMBER && node->number == told))
        return 0;
    char expected[48];
    snprintf(expected, sizeof expected, "%u, which the tensors tell", told);
    json_tree_unexpected(node, reading->error, expected);
    return fuxictr_name_file(reading, FUXICTR_CONFIG);
}

static int find_section(struct fuxictr_reading *reading, const struct json_node *root)
{
    const struct text id = reading->source->id;
    reading->base = json_tree_find(root, "Base");
    reading->section = json_tree_find_text(root, id);
    if (reading->section && reading->section->kind == JSON_OBJECT)
        return 0;
    return FUXICTR_FAIL(reading,
                        "has no section \"%.*s\": FuxiCTR calls the file of the weights as the "
                        "section of its experiment; rename one of them, or take the file away",
                        TEXT_SHOWN(id));
}

/* What would change the scores in ways that are not served. */
static int check_settings(struct fuxictr_reading *reading)
{
    const struct json_node *specs = fuxictr_setting(reading, "feature_specs");
    const struct json_node *task = fuxictr_setting(reading, "task");
    if (specs)
        return json_tree_refuse(specs, reading->error,
                                "features that a model changes are not read; put them into the "
                                "data set's feature_cols");
    if (task && (task->kind != JSON_STRING || !text_is(task->text, "binary_classification")))
        return json_tree_unexpected(task, reading->error, "\"binary_classification\"");
    return 0;
}

int fuxictr_read_config(struct fuxictr_reading *reading)
{
    const struct json_node *root;
    if (reading->source->config.at == NULL)
        return 0;
    if (yaml_tree_read(&root, &reading->nodes, reading->source->config, reading->error) != 0 ||
        find_section(reading, root) != 0 || check_settings(reading) != 0)
        return fuxictr_name_file(reading, FUXICTR_CONFIG);
    return 0;
}

/* ---- the whole ---- */

static int read_processor(struct fuxictr_reading *reading)
{
    const struct text bytes = reading->source->processor;
    if (fuxictr_file_read(&reading->processor, reading->classes, (const uint8_t *)bytes.at,
                          bytes.length, reading->error) != 0)
        return fuxictr_name_file(reading, FUXICTR_PROCESSOR);
    return 0;
}

static int read_all(struct fuxictr_reading *reading)
{
    uint32_t x0;
    if (maker_begin(&reading->maker, SPEC_MAX_LAYERS) != 0)
        return format_error_memory(reading->error);
    if (fuxictr_read_config(reading) != 0 || read_processor(reading) != 0 ||
        fuxictr_read_features(reading) != 0 || fuxictr_add_columns(reading) != 0 ||
        fuxictr_add_inputs(reading, &x0) != 0 || fuxictr_add_network(reading, x0) != 0)
        return -1;
    if (reading->maker.is_short)
        return format_error_memory(reading->error);
    if (reading->maker.is_full)
        return FUXICTR_FAIL(reading, "the network has more than %d layers", SPEC_MAX_LAYERS);
    if (reading->assumes_activation)
        reading->assumptions[reading->n_assumptions++] =
            text_of("the activation of the deep layers is ReLU, FuxiCTR's default");
    reading->maker.spec->assumptions = reading->assumptions;
    reading->maker.spec->n_assumptions = reading->n_assumptions;
    return 0;
}

int fuxictr_read(struct network_spec *spec, struct spec_vocabularies *vocabularies,
                 struct arena *arena, struct arena *classes, const struct fuxictr_source *source,
                 struct format_error *error)
{
    struct fuxictr_reading reading = {.maker = {.spec = spec, .arena = arena},
                                      .vocabularies = vocabularies,
                                      .classes = classes,
                                      .error = error,
                                      .source = source};
    *spec = (struct network_spec){.source = text_of("FuxiCTR's files")};
    *vocabularies = (struct spec_vocabularies){0};
    arena_init(&reading.nodes, SIZE_MAX);
    const int status = read_all(&reading);
    arena_free(&reading.nodes);
    return status;
}
