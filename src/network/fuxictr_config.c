/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_config.c: model_config.yaml: a section per experiment, and one called Base, whose keys
 * hold for all of them.
 */
#include <stdio.h>

#include "network/fuxictr_reading.h"
#include "network/yaml_tree.h"

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
