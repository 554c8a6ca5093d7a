/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "network/json_spec.h"
#include "network/kinds.h"
#include "test.h"

static struct network_spec spec;
static struct spec_vocabularies vocabularies;
static struct arena arena;
static struct format_error error;
static struct spec_json_files files;

static int read_encoder(void *context, const char *path, struct text column, struct arena *into,
                        struct spec_vocabulary *ret, struct format_error *ret_error)
{
    static const struct text classes[] = {{"a", 1}, {"b", 1}};
    (void)into;
    if (strcmp(path, "folder/encoders.pkl") != 0 || !text_is(column, "city"))
        return format_error_set(ret_error, FORMAT_NO_OFFSET, "no encoder of this column");
    *(bool *)context = true;
    ret->classes = classes;
    ret->n = 2;
    return 0;
}

/* ' stands for ". */
static int read_model(const char *text)
{
    static char json[1 << 16];
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    arena_reset(&arena, 0);
    arena_init(&arena, 1 << 24);
    memset(error.message, 0, sizeof error.message);
    return spec_json_read(&spec, &vocabularies, &arena, (struct text){json, n}, &files, &error);
}

/* A model.json with the smallest of everything but for what is given. */
static int read_with(const char *columns, const char *more, const char *layers)
{
    char text[4096];
    snprintf(text, sizeof text,
             "{'dcnv2_model': 1, 'columns': [%s], %s 'layers': [%s, {'name': 'out', 'kind': "
             "'output', 'input': 'x', 'weight': 'w'}]}",
             columns, more, layers);
    return read_model(text);
}

#define CITY        "{'name': 'city'}"
#define TAGS        "{'name': 'tags', 'list': true, 'separator': '|'}"
#define PRICE       "{'name': 'price', 'type': 'number'}"
#define PRICE_INPUT "{'name': 'x', 'kind': 'input', 'parts': [{'value': 'price'}]}"
#define TABLE(more) "{'name': 'x', 'kind': 'input', 'parts': [{'table': 'emb', " more "}]}"
#define CITIES      "'vocabularies': {'city': {'values': ['Berlin', 'Rome']}},"

#define REFUSED(call, part)                                                                        \
    do {                                                                                           \
        CHECK((call) == -1);                                                                       \
        CHECK_MSG(strstr(error.message, part) != NULL, "found: %s", error.message);                \
    } while (0)

#define READ(call) CHECK_MSG((call) == 0, "found: %s", error.message)

TEST(a_whole_description_is_read)
{
    READ(read_model(
        "{'dcnv2_model': 1, 'weights': 'model.pt', 'unused_tensors': ['optimizer.*'],"
        " 'columns': [" PRICE ", " CITY ", " TAGS "],"
        " 'vocabularies': {'city': {'values': ['Berlin', 'Z\\u00fcrich']},"
        "   'tags': {'values': {'b': 2, 'a': 1}}},"
        " 'lookups': {'city': {'first_row': 1, 'unseen': 0, 'missing': 'drop'},"
        "   'tags': {'column': 'tags', 'unseen': 'drop', 'max': 4, 'keep': 'last', 'pad': 'front',"
        "   'pad_row': 0}},"
        " 'values': {'price': {'steps': [{'fill': 0.5}, 'float32', {'clip': [0, null]}]}},"
        " 'layers': ["
        "   {'name': 'x0', 'kind': 'input', 'parts': ["
        "     {'table': 'emb.city.weight', 'lookup': 'city'},"
        "     {'table': 'emb.tags.weight', 'lookup': 'tags', 'pooling': 'mean', 'mask': {'row': 0},"
        "      'epsilon': 1e-8},"
        "     {'value': 'price', 'times': 'price.weight'}]},"
        "   {'name': 'cross', 'kind': 'cross', 'input': 'x0', 'repeat': 3, 'weight': 'c.{}.weight',"
        "    'bias': 'c.{}.bias'},"
        "   {'name': 'deep', 'input': 'x0', 'repeat': [0, 4], 'chain': ["
        "     {'kind': 'linear', 'weight': 'mlp.{}.weight', 'bias': 'mlp.{}.bias'},"
        "     {'kind': 'batch_norm', 'weight': 'mlp.{+1}.weight', 'bias': 'mlp.{+1}.bias',"
        "      'mean': 'mlp.{+1}.running_mean', 'variance': 'mlp.{+1}.running_var'},"
        "     {'kind': 'activation', 'function': 'relu'}]},"
        "   {'name': 'out', 'kind': 'output', 'inputs': ['cross', 'deep'],"
        "    'weights': [null, 'fc.weight'], 'bias': ['fc.bias', 'bias']}]}"));
    CHECK(text_is(files.weights, "model.pt"));
    CHECK(spec.n_ignored == 1 && text_is(spec.ignored[0], "optimizer.*"));
    CHECK(spec.n_columns == 3 && spec.n_categories == 2);
    CHECK(text_is(spec.columns[0].name, "city") && text_is(spec.columns[2].name, "price"));
    CHECK(spec.columns[1].is_list && text_is(spec.columns[1].separator, "|"));

    CHECK(vocabularies.n == 2 && spec.n_vocabularies == 2);
    CHECK(text_is(vocabularies.all[0].classes[1], "Z\xC3\xBCrich"));
    CHECK(text_is(vocabularies.all[1].classes[0], "a") && vocabularies.all[1].rows == NULL);

    CHECK(spec.n_lookups == 2 && spec.n_values == 1);
    CHECK(spec.lookups[0].first_row == 1 && spec.lookups[0].unseen_row == 0);
    CHECK(spec.lookups[0].missing_row == SPEC_DROP && spec.lookups[1].missing_row == SPEC_REFUSE);
    CHECK(spec.lookups[1].first_row == 1 && spec.lookups[1].vocabulary == 1);
    CHECK(spec.lookups[1].max_values == 4 && spec.lookups[1].keep == LIST_LAST);
    CHECK(spec.lookups[1].is_padded && spec.lookups[1].pad == LIST_FIRST);
    CHECK(spec.values[0].column == 2 && spec.values[0].n_steps == 3);
    CHECK(spec.values[0].steps[0].kind == STEP_FILL && spec.values[0].steps[0].a == 0.5);
    CHECK(spec.values[0].steps[2].a == 0 && isinf(spec.values[0].steps[2].b));

    CHECK(spec.n_layers == 1 + 3 + 6 + 1);
    const struct spec_layer *layers = spec.layers;
    CHECK(layers[0].n_parts == 3 && layers[0].parts[0].source == 0);
    CHECK(layers[0].parts[1].pooling == POOLING_MEAN && layers[0].parts[1].mask == MASK_ROW);
    CHECK(layers[0].parts[1].epsilon == 1e-8f && layers[0].parts[1].at_least == 0);
    CHECK(layers[0].parts[2].kind == INPUT_TIMES);
    CHECK(text_is(layers[3].name, "cross") && text_is(layers[1].name, "cross[0]"));
    CHECK(layers[3].x0 == 0 && layers[3].inputs[0] == 2);
    CHECK(text_is(layers[3].tensors[ROLE_WEIGHT].parts[0].name, "c.2.weight"));
    CHECK(layers[4].inputs[0] == 0 && layers[5].inputs[0] == 4 && layers[7].inputs[0] == 6);
    CHECK(text_is(layers[8].tensors[NORM_MEAN].parts[0].name, "mlp.5.running_mean"));
    CHECK(layers[8].epsilon == 1e-5f && text_is(layers[9].name, "deep"));
    CHECK(layers[9].activation == ACTIVATE_RELU);
    CHECK(layers[10].n_inputs == 2 && layers[10].inputs[0] == 3 && layers[10].inputs[1] == 9);
    CHECK(layers[10].weights[0].n_parts == 0 && layers[10].weights[1].n_parts == 1);
    CHECK(layers[10].tensors[ROLE_BIAS].n_parts == 2);
}

TEST(what_stands_in_place_is_read_as_if_it_had_a_name)
{
    READ(read_with(CITY ", " PRICE, CITIES,
                   "{'name': 'x', 'kind': 'input', 'parts': [{'table': 'emb', 'lookup': 'city'},"
                   " {'table': 'buckets', 'lookup': {'column': 'price', 'integer': true, 'steps': "
                   "[{'bucket_below': [1, 2]}]}}, {'value': {'column': 'price', 'steps': "
                   "['is_missing']}}, {'value': 'price'}]}"));
    CHECK(spec.n_lookups == 2 && spec.n_values == 2);
    CHECK(spec.lookups[0].kind == LOOKUP_VOCABULARY && spec.lookups[0].unseen_row == SPEC_REFUSE);
    CHECK(spec.lookups[1].kind == LOOKUP_INTEGER && spec.lookups[1].steps[0].b == 1);
    CHECK(spec.values[0].n_steps == 1 && spec.values[1].n_steps == 0);
}

TEST(a_tensor_may_be_a_part_of_one_or_several)
{
    READ(read_with(PRICE, "",
                   "{'name': 'in', 'kind': 'input', 'parts': [{'value': 'price'}]},"
                   "{'name': 'x', 'kind': 'cross_mixture', 'input': 'in', 'repeat': [3], 'u': "
                   "{'tensor': 'u', 'index': ['{+1}', 2], 'rows': [4, 5], 'transpose': true},"
                   " 'v': [{'tensor': 'v.{outer}.{+1}', 'repeat': 2}, 'v.{}'], 'function': 'tanh', "
                   "'gate': 'g{{}'}"));
    const struct spec_layer *layer = &spec.layers[1];
    const struct tensor_part *u = layer->tensors[CROSS_U].parts;
    CHECK(u->n_indices == 2 && u->index[0] == 4 && u->index[1] == 2 && u->first_row == 4);
    CHECK(u->n_rows == 5 && u->is_transposed);
    CHECK(layer->tensors[CROSS_V].n_parts == 3);
    CHECK(text_is(layer->tensors[CROSS_V].parts[1].name, "v.3.2"));
    CHECK(text_is(layer->tensors[CROSS_V].parts[2].name, "v.3"));
    CHECK(text_is(layer->tensors[CROSS_GATE].parts[0].name, "g{}"));
    CHECK(layer->activation == ACTIVATE_TANH);
}

TEST(a_gated_cross_layer_has_the_tensors_of_its_gate)
{
    const char *gated = "{'name': 'in', 'kind': 'input', 'parts': [{'value': 'price'}]},"
                        "{'name': 'x', 'kind': 'cross_gated', 'input': 'in', 'repeat': 2,"
                        " 'weight': 'w.{}', 'bias': 'b.{}'%s}";
    char layers[256];
    snprintf(layers, sizeof layers, gated, ", 'gate': 'wg.{}'");
    READ(read_with(PRICE, "", layers));
    const struct spec_layer *layer = &spec.layers[2];
    CHECK(layer->kind == LAYER_CROSS_GATED && layer->x0 == 0 && layer->inputs[0] == 1);
    CHECK(text_is(layer->tensors[ROLE_BIAS].parts[0].name, "b.1"));
    CHECK(text_is(layer->tensors[GATED_GATE].parts[0].name, "wg.1"));
    CHECK(layer->tensors[GATED_GATE_BIAS].n_parts == 0);
    snprintf(layers, sizeof layers, gated, "");
    REFUSED(read_with(PRICE, "", layers), "layers[1]: the key \"gate\" is missing");
}

TEST(rows_that_do_not_follow_each_other_are_kept_by_class)
{
    READ(read_with(CITY, "'vocabularies': {'city': {'values': {'a': 7, 'b': 3, 'c': 7}}},",
                   TABLE("'lookup': {'column': 'city', 'first_row': 10, 'missing': {'as': 'a'}}")));
    CHECK(text_is(vocabularies.all[0].classes[0], "b"));
    CHECK(spec.lookups[0].rows[0] == 13 && spec.lookups[0].rows[2] == 17);
    CHECK(spec.lookups[0].missing_row == 17);
}

TEST(an_encoder_is_read_by_whoever_can)
{
    bool was_read = false;
    files = (struct spec_json_files){
        .folder = "folder", .read_encoder = read_encoder, .context = &was_read};
    const char *city = "'vocabularies': {'city': {'encoder': 'encoders.pkl'}},";
    const char *town = "'vocabularies': {'city': {'encoder': 'encoders.pkl', 'column': 'town'}},";
    READ(read_with(CITY, city, TABLE("'lookup': 'city'")));
    CHECK(was_read && vocabularies.all[0].n == 2);
    REFUSED(read_with(CITY, town, TABLE("'lookup': 'city'")),
            "vocabularies.city.encoder: encoders.pkl: no encoder of this column");
    files = (struct spec_json_files){0};
    REFUSED(read_with(CITY, city, TABLE("'lookup': 'city'")), "no encoder can be read here");
}

TEST(vocabularies_come_from_parts_of_files)
{
    char folder[] = "/tmp/dcnv2_test_json_XXXXXX", path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/vocab.json", folder);
    FILE *file = fopen(path, "w");
    fputs("{\"other\": [1], \"a/b\": {\"city\": {\"Rome\": 1, \"Oslo\": 0}}}", file);
    fclose(file);
    files = (struct spec_json_files){.folder = folder};
    const struct {
        const char *vocabulary, *reason;
    } cases[] = {
        {"'file': 'vocab.json', 'at': '/a~1b/city'", NULL},
        {"'file': 'vocab.json', 'at': '/other'",
         "vocabularies.city.file: vocab.json: [0]: expected the text of a category, found 1"},
        {"'file': 'vocab.json', 'at': '/town'", "vocab.json: the key \"town\" is missing"},
        {"'file': 'vocab.json', 'at': 'other'", "expected a JSON pointer"},
        {"'file': 'vocab.json'", "expected a whole number from 0 to 2147483647, found a list"},
        {"'file': 'vocab.jsn'", "vocab.jsn: "},
        {"'file': '../vocab.json'", "the name of a file beside this one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        snprintf(text, sizeof text, "'vocabularies': {'city': {%s}},", cases[i].vocabulary);
        if (cases[i].reason == NULL) {
            READ(read_with(CITY, text, TABLE("'lookup': 'city'")));
            CHECK(vocabularies.all[0].n == 2 && text_is(vocabularies.all[0].classes[0], "Oslo"));
        } else {
            REFUSED(read_with(CITY, text, TABLE("'lookup': 'city'")), cases[i].reason);
        }
    }
    remove(path);
    rmdir(folder);
    files = (struct spec_json_files){0};
}

TEST(a_slip_of_the_pen_is_named_with_its_place)
{
    REFUSED(read_model("{'dcnv2_model': 1, 'column': []}"),
            "column: unknown key; did you mean \"columns\"?");
    REFUSED(read_model("{'dcnv2_model': 2}"), "dcnv2_model: expected a whole number from 1 to 1");
    REFUSED(read_model("{'dcnv2_model': 1, 'dcnv2_model': 1}"), "\"dcnv2_model\" stands twice");
    REFUSED(read_model("{'dcnv2_model': 1,}"), "line 1 column 18");
    REFUSED(read_model("[]"), "expected an object, found a list");
    REFUSED(read_with(PRICE, "",
                      PRICE_INPUT ", {'name': 'y', 'kind': 'linear', 'input': 'x', 'weigth': 'w'}"),
            "layers[1].weigth: unknown key; did you mean \"weight\"?");
    REFUSED(read_with(PRICE, "", PRICE_INPUT ", {'name': 'y', 'kind': 'linear', 'input': 'x'}"),
            "layers[1]: the key \"weight\" is missing");
    REFUSED(read_with(PRICE, "",
                      PRICE_INPUT ", {'name': 'y', 'kind': 'linear', 'input': 'x', 'weight': 3}"),
            "layers[1].weight: expected the name of a tensor or an object, found 3");
    REFUSED(read_with(PRICE, "",
                      PRICE_INPUT
                      ", {'name': 'y', 'input': 'x', 'chain': [{'kind': 'activation'}]}"),
            "layers[1].chain[0]: the key \"function\" is missing");
    REFUSED(read_with(PRICE, "", PRICE_INPUT ", {'name': 'y', 'kind': 'linear', 'input': 'z'}"),
            "layers[1].input: no layer before is called \"z\"");
    REFUSED(read_with(PRICE, "", "{'name': 'x', 'kind': 'input', 'parts': [{'value': 'prize'}]}"),
            "layers[0].parts[0].value: no column is called \"prize\"");
    REFUSED(read_with(CITY, CITIES, TABLE("'lookup': 'city', 'pooling': 'sum'")), "is no list");
    REFUSED(
        read_with(TAGS, "'vocabularies': {'tags': {'values': ['a']}},", TABLE("'lookup': 'tags'")),
        "\"pooling\" has to be");
    REFUSED(read_with(CITY, "'vocabularies': {'city': {'values': ['a', 'a']}},",
                      TABLE("'lookup': 'city'")),
            "\"a\" stands twice");
    REFUSED(read_with(CITY ", " PRICE, CITIES, TABLE("'lookup': 'city'")),
            "columns: nothing uses \"price\"");
    REFUSED(read_with(PRICE, "", PRICE_INPUT ", " PRICE_INPUT), "another layer is called \"x\"");
}

TEST(what_is_written_reads_as_an_equal_description)
{
    struct text written, again;
    READ(read_with(
        CITY ", " TAGS ", " PRICE,
        "'vocabularies': {'city': {'values': {'a': 7, 'b': 3}}, 'tags': {'values': ['\\n']}},"
        "'unused_tensors': ['a.*'], 'assumptions': ['none'],",
        "{'name': 'in', 'kind': 'input', 'parts': ["
        " {'table': {'tensor': 'e', 'rows': [3, 4]}, 'one_row': true,"
        "  'lookup': {'column': 'city', 'unseen': 'drop', 'missing': 0}},"
        " {'table': 't', 'pooling': 'mean', 'mask': {'row': 2}, 'epsilon': 1e-7, 'lookup':"
        "  {'column': 'tags', 'max': 3, 'keep': 'first', 'pad': 'behind', 'pad_row': 2}},"
        " {'table': 'h', 'pooling': 'sum', 'lookup': {'column': 'tags', 'hash': 'xxhash64',"
        "  'prefix': 'tags=', 'modulus': 211, 'first_row': 5}},"
        " {'table': 'b', 'lookup': {'column': 'price', 'integer': true, 'steps':"
        "  [{'bucket_below': [1, 2.5]}, {'bucket': [-1e300]}, {'clip': [null, 4]}]}},"
        " {'value': {'column': 'price', 'steps': ['float32', {'log': 0.1}]}, 'times': 'p'}]},"
        "{'name': 'mix', 'kind': 'cross_mixture', 'input': 'in', 'repeat': 2, 'u': ['u{{{}', 'u'],"
        " 'v': {'tensor': 'v', 'index': ['{}', 1], 'transpose': true}, 'function': 'elu',"
        " 'slope': 0.1},"
        "{'name': 'plain', 'kind': 'cross', 'input': 'in', 'weight': 'w', 'bias_outside': true},"
        "{'name': 'norm', 'kind': 'layer_norm', 'inputs': ['mix', 'plain'], 'epsilon': 1e-6},"
        "{'name': 'dice', 'kind': 'activation', 'input': 'norm', 'function': 'dice',"
        " 'alpha': 'a', 'mean': 'm', 'variance': 'v'},"
        "{'name': 'parts', 'kind': 'activation', 'input': 'dice', 'function': 'prelu',"
        " 'slope': 's'},"
        "{'name': 'x', 'kind': 'linear', 'input': 'parts', 'weight': 'w'}"));
    CHECK(spec_json_write(&spec, &vocabularies, &arena, &written) == 0);
    char *copy = strndup(written.at, written.length);
    struct network_spec second;
    struct spec_vocabularies stored;
    CHECK_MSG(spec_json_read(&second, &stored, &arena, text_of(copy), NULL, &error) == 0,
              "%s in %s", error.message, copy);
    CHECK(stored.n == 2 && stored.all[0].n == 2 && stored.all[0].classes == NULL);
    CHECK(spec_json_write(&second, &stored, &arena, &again) == 0);
    CHECK_MSG(text_equal(again, text_of(copy)), "%s %.*s", copy, (int)again.length, again.at);
    free(copy);
    CHECK(second.n_layers == spec.n_layers && second.lookups[0].rows[0] == 3);
    CHECK(second.lookups[0].unseen_row == SPEC_DROP && second.lookups[0].missing_row == 0);
    CHECK(second.lookups[2].hash == HASH_XXHASH64 && second.lookups[2].first_row == 5);
    CHECK(second.lookups[3].steps[0].edges[1] == 2.5 && second.lookups[3].steps[0].b == 1);
    CHECK(isinf(second.lookups[3].steps[2].a) && second.lookups[3].steps[2].b == 4);
    const struct spec_layer *layers = second.layers;
    CHECK(layers[0].parts[0].n_rows == 1 && layers[0].parts[0].tensor.first_row == 3);
    CHECK(layers[0].parts[1].epsilon == 1e-7f && layers[0].parts[1].masked_row == 2);
    CHECK(text_is(layers[2].tensors[CROSS_U].parts[0].name, "u{1"));
    CHECK(layers[2].tensors[CROSS_V].parts->index[0] == 1 && layers[2].slope == 0.1f);
    CHECK(layers[2].x0 == 0 && layers[3].has_bias_outside && layers[4].n_inputs == 2);
    CHECK(layers[5].epsilon == 1e-9f && layers[6].tensors[PRELU_SLOPE].n_parts == 1);
}

/* A tensor of zeros. */
static struct tensor tensor_of(const char *name, uint64_t rows, uint64_t columns)
{
    static const uint8_t zeros[512];
    return (struct tensor){.name = text_of(name),
                           .n_dims = 2,
                           .sizes = {rows, columns},
                           .strides = {columns, 1},
                           .n_elements = rows * columns,
                           .data = zeros};
}

TEST(what_is_written_of_a_resolved_description_resolves_to_the_same)
{
    struct tensor tensors[] = {tensor_of("emb", 3, 4), tensor_of("w.0", 5, 5),
                               tensor_of("w.1", 5, 5), tensor_of("d", 3, 5), tensor_of("fc", 1, 8)};
    struct tensor_list list = {.tensors = tensors, .n_tensors = sizeof tensors / sizeof *tensors};
    const struct tensor *twice;
    struct text written;
    READ(read_model(
        "{'dcnv2_model': 1, 'columns': [" CITY ", " PRICE "]," CITIES " 'layers': ["
        "{'name': 'x0', 'kind': 'input', 'parts': [{'table': 'emb', 'lookup': {'column': 'city',"
        " 'unseen': 2}}, {'value': 'price'}]},"
        "{'name': 'cross', 'kind': 'cross', 'input': 'x0', 'repeat': 2, 'weight': 'w.{}'},"
        "{'name': 'deep', 'kind': 'linear', 'input': 'x0', 'weight': 'd'},"
        "{'name': 'out', 'kind': 'output', 'inputs': ['cross', 'deep'], 'weight': 'fc'}]}"));
    CHECK(tensor_list_sort(&list, &arena, &twice) == 0);
    CHECK_MSG(spec_resolve(&spec, &arena, &list, &error) == 0, "%s", error.message);
    CHECK(spec_json_write(&spec, &vocabularies, &arena, &written) == 0);
    struct network_spec second;
    struct spec_vocabularies stored;
    CHECK(spec_json_read(&second, &stored, &arena, written, NULL, &error) == 0);
    CHECK_MSG(spec_resolve(&second, &arena, &list, &error) == 0, "%s", error.message);
    const struct spec_layer *first = &spec.layers[spec.n_layers - 1],
                            *last = &second.layers[second.n_layers - 1];
    CHECK(last->n_inputs == 2 && last->weights[1].parts->first_row == 5);
    CHECK(first->weights[1].parts->first_row == 5 && last->weights[1].parts->n_rows == 3);
    CHECK(second.layers[0].n_out == 5 && second.layers[0].parts[0].n_rows == 3);
}

/* Rows of the tensor are not the weight's: cut along them, it would give the weights of others. */
TEST(one_row_of_a_tensor_is_no_weight_that_can_be_cut)
{
    struct tensor tensors[] = {tensor_of("d", 3, 1), tensor_of("fc", 9, 3)};
    struct tensor_list list = {.tensors = tensors, .n_tensors = sizeof tensors / sizeof *tensors};
    const struct tensor *twice;
    for (int by_index = 0; by_index < 2; by_index++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "{'dcnv2_model': 1, 'columns': [" PRICE "], 'layers': [" PRICE_INPUT ","
                 "{'name': 'deep', 'kind': 'linear', 'input': 'x', 'weight': 'd'},"
                 "{'name': 'out', 'kind': 'output', 'input': 'deep', 'weight': {'tensor': 'fc', "
                 "%s}}]}",
                 by_index ? "'index': [2]" : "'rows': [2, 1]");
        READ(read_model(text));
        CHECK(tensor_list_sort(&list, &arena, &twice) == 0);
        CHECK((spec_resolve(&spec, &arena, &list, &error) == 0) == by_index);
        CHECK(by_index || strstr(error.message, "layer \"out\" (output), weight: \"rows\""));
    }
}

TEST(what_changes_the_score_has_no_default)
{
    static const char in[] = "{'name': 'in', 'kind': 'input', 'parts': [{'value': 'price'}]},"
                             "{'name': 'x', 'input': 'in', ";
    const struct {
        const char *layer, *reason;
    } cases[] = {
        {"'kind': 'activation', 'function': 'leaky_relu'}", "\"slope\" is missing"},
        {"'kind': 'activation', 'function': 'prelu'}", "\"slope\" is missing"},
        {"'kind': 'activation', 'function': 'relu', 'slope': 1}",
         "slope: the function \"relu\" has none"},
        {"'kind': 'activation', 'function': 'relu', 'epsilon': 1}", "has none"},
        {"'kind': 'cross_low_rank', 'u': 'u', 'v': 'v'}", "\"function\" is missing"},
        {"'kind': 'cross_low_rank', 'u': 'u', 'v': 'v', 'function': 'prelu'}", "has tensors"},
        {"'kind': 'layer_norm', 'epsilon': 0}", "expected a number above 0"},
        {"'kind': 'cross', 'weight': '{}'}", "{} stands in no repetition"},
        {"'kind': 'cross', 'weight': '{-1}', 'repeat': 1}", "found {-1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char layers[512];
        snprintf(layers, sizeof layers, "%s%s", in, cases[i].layer);
        REFUSED(read_with(PRICE, "", layers), cases[i].reason);
    }
}

TEST(repetitions_are_bounded)
{
    REFUSED(read_with(PRICE, "",
                      "{'name': 'in', 'kind': 'input', 'parts': [{'value': 'price'}]}, {'name': "
                      "'x', 'kind': 'cross', 'input': 'in', 'repeat': 1024, 'weight': 'w{}'}"),
            "more than 1024 layers");
    REFUSED(read_with(PRICE, "",
                      "{'name': 'in', 'kind': 'input', 'parts': [{'value': 'price'}]}, {'name': "
                      "'x', 'kind': 'cross', 'input': 'in', 'repeat': 1000, 'weight': [{'tensor': "
                      "'w{}', 'repeat': 1024}]}"),
            "more than 65536 tensors");
    char deep[256] = {0};
    memset(deep, '[', 100);
    REFUSED(read_model(deep), "nested deeper than 32");
}

int main(void)
{
    RUN(a_whole_description_is_read);
    RUN(what_stands_in_place_is_read_as_if_it_had_a_name);
    RUN(a_tensor_may_be_a_part_of_one_or_several);
    RUN(a_gated_cross_layer_has_the_tensors_of_its_gate);
    RUN(rows_that_do_not_follow_each_other_are_kept_by_class);
    RUN(an_encoder_is_read_by_whoever_can);
    RUN(vocabularies_come_from_parts_of_files);
    RUN(a_slip_of_the_pen_is_named_with_its_place);
    RUN(what_is_written_reads_as_an_equal_description);
    RUN(what_is_written_of_a_resolved_description_resolves_to_the_same);
    RUN(one_row_of_a_tensor_is_no_weight_that_can_be_cut);
    RUN(what_changes_the_score_has_no_default);
    RUN(repetitions_are_bounded);
    arena_free(&arena);
    return test_report();
}
