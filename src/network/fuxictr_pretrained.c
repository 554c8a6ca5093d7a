/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuxictr_pretrained.c: which tensors are a feature's table. A table of its own is NAME.weight. If
 * vectors came from a file (pretrained_emb), the file of the weights holds them as well:
 *
 *   NAME.pretrain_embedding.weight   a row per word of the vocabulary
 *   NAME.id_embedding.weight         pretrain_usage "concat": beside it; "sum": added to it
 *   NAME.proj.weight                 to the feature's width, of both one behind the other
 *
 * Words of the vectors' file alone have rows behind that of unseen words, `oov_idx`. The library
 * masks these rows of tables that are trained, as if they were zeros.
 */
#include "network/fuxictr_reading.h"

enum usage { USE_INIT, USE_SUM, USE_CONCAT };

static struct text name_tensor(struct fuxictr_reading *reading,
                               const struct fuxictr_feature *feature, const char *part)
{
    return maker_text(&reading->maker, FUXICTR_TABLES "%s.%s", feature->name.at, part);
}

static bool has_tensor(const struct fuxictr_reading *reading, struct text name)
{
    return name.at && tensor_find_text(reading->source->tensors, name);
}

/* ---- rows of zeros ---- */

static bool is_zero(const struct fuxictr_reading *reading, struct text name, uint64_t from,
                    uint64_t end)
{
    const struct tensor *table = tensor_find_text(reading->source->tensors, name);
    if (table == NULL || table->n_dims != 2 || !tensor_is_float(table))
        return true; /* refused elsewhere */
    const unsigned size = tensor_element_size(table->dtype);
    for (uint64_t row = from; row < end && row < table->sizes[0]; row++)
        for (uint64_t i = 0; i < table->sizes[1]; i++) {
            const uint8_t *at =
                table->data + (row * table->strides[0] + i * table->strides[1]) * size;
            for (unsigned b = 0; b < size; b++)
                if (at[b] != 0)
                    return false;
        }
    return true;
}

bool fuxictr_are_rows_zero(const struct fuxictr_reading *reading,
                           const struct fuxictr_feature *feature, uint64_t from, uint64_t end)
{
    return is_zero(reading, feature->table, from, end) &&
           (feature->ids.at == NULL || is_zero(reading, feature->ids, from, end));
}

/* ---- what the map tells of vectors from a file ---- */

/* The feature that has the settings: this one, or the one whose table it shares. */
static const struct json_node *find_settings(struct fuxictr_reading *reading,
                                             const struct fuxictr_feature *feature)
{
    const struct json_node *shared = json_tree_find(feature->node, "share_embedding");
    if (json_tree_find(feature->node, "pretrained_emb") || shared == NULL)
        return feature->node;
    for (uint32_t i = 0; i < reading->n_features; i++)
        if (shared->kind == JSON_STRING && text_equal(reading->features[i].name, shared->text))
            return reading->features[i].node;
    json_tree_unexpected(shared, reading->error, "a feature that the model reads");
    return NULL;
}

static int read_usage(struct fuxictr_reading *reading, const struct json_node *settings,
                      unsigned *ret)
{
    static const char *const names[] = {
        [USE_INIT] = "init", [USE_SUM] = "sum", [USE_CONCAT] = "concat"};
    const struct json_node *usage = json_tree_need(settings, "pretrain_usage", reading->error);
    if (usage == NULL || json_tree_choice(usage, names, 3, ret, reading->error) != 0)
        return -1;
    return *ret == USE_SUM ? json_tree_refuse(usage, reading->error,
                                              "a sum of two tables is not read; train with "
                                              "\"init\" or \"concat\"")
                           : 0;
}

/* The library's mask changes nothing if the rows behind `oov_idx` are zeros. */
static int check_masks(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                       const struct json_node *settings)
{
    const struct json_node *last = json_tree_need(settings, "oov_idx", reading->error);
    const struct json_node *flag =
        last ? json_tree_need(settings, "freeze_emb", reading->error) : NULL;
    uint32_t row;
    bool is_frozen;
    if (flag == NULL || json_tree_whole(last, 0, INT32_MAX, &row, reading->error) != 0 ||
        json_tree_flag(flag, &is_frozen, reading->error) != 0)
        return -1;
    if (!is_frozen && !is_zero(reading, feature->table, row + 1, UINT64_MAX))
        return json_tree_refuse(flag, reading->error,
                                "the vectors' file has words that no row of the training data has, "
                                "which the library masks; train with freeze_emb: true, or without "
                                "these words in the file");
    if (feature->ids.at && !is_zero(reading, feature->ids, row + 1, UINT64_MAX))
        return json_tree_refuse(last, reading->error,
                                "rows of \"%s\" behind this one are masked by the library, and "
                                "have to be zeros",
                                feature->ids.at);
    return 0;
}

static int check_tensors(struct fuxictr_reading *reading, const struct fuxictr_feature *feature,
                         bool is_concat)
{
    if (is_concat == (feature->ids.at != NULL) && (!is_concat || feature->projection.at))
        return 0;
    return FUXICTR_FAIL(reading,
                        FUXICTR_MAP ": %s.pretrain_usage is \"%s\"; the tensors " FUXICTR_TABLES
                                    "%s.* tell another one",
                        feature->name.at, is_concat ? "concat" : "init", feature->name.at);
}

static int read_pretrained(struct fuxictr_reading *reading, struct fuxictr_feature *feature)
{
    const struct text ids = name_tensor(reading, feature, "id_embedding.weight");
    const struct text projection = name_tensor(reading, feature, "proj.weight");
    const struct json_node *settings = find_settings(reading, feature);
    unsigned usage;
    if (has_tensor(reading, ids))
        feature->ids = ids;
    if (has_tensor(reading, projection))
        feature->projection = name_tensor(reading, feature, "proj");
    if (settings == NULL || read_usage(reading, settings, &usage) != 0 ||
        check_masks(reading, feature, settings) != 0)
        return fuxictr_name_file(reading, FUXICTR_MAP);
    return check_tensors(reading, feature, usage == USE_CONCAT);
}

int fuxictr_find_tables(struct fuxictr_reading *reading, struct fuxictr_feature *feature)
{
    const struct text own = name_tensor(reading, feature, "weight");
    const struct text pretrained = name_tensor(reading, feature, "pretrain_embedding.weight");
    if (reading->maker.is_short)
        return format_error_memory(reading->error);
    const bool is_pretrained = feature->type != FUXICTR_NUMERIC && has_tensor(reading, pretrained);
    const bool is_told = json_tree_find(feature->node, "pretrained_emb") != NULL;
    feature->table = is_pretrained || is_told ? pretrained : own;
    if (is_pretrained)
        return read_pretrained(reading, feature);
    if (!is_told && has_tensor(reading, own))
        return 0;
    return FUXICTR_FAIL(reading, "tensor \"%s\" is missing: " FUXICTR_MAP " has the feature%s",
                        feature->table.at, is_told ? " with pretrained_emb" : "");
}
