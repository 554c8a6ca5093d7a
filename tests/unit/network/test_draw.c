/* SPDX-License-Identifier: Apache-2.0 */
/* test_draw.c: the drawing of a network, letter by letter, and its counts beside those by hand. */
#include <stdlib.h>

#include "network/json_spec.h"
#include "network/kinds.h"
#include "test.h"

enum { MAX_TENSORS = 16, MAX_TEXT = 1 << 14 };

static struct arena arena;
static struct network_spec spec;
static struct format_error error;
static struct tensor tensors[MAX_TENSORS];
static struct tensor_list list = {.tensors = tensors};
static float zeros[1 << 12];

static void add(const char *name, uint64_t rows, uint64_t columns)
{
    tensors[list.n_tensors++] = (struct tensor){.name = text_of(name),
                                                .dtype = TENSOR_F32,
                                                .n_dims = columns ? 2 : 1,
                                                .sizes = {rows, columns},
                                                .strides = {columns ? columns : 1, 1},
                                                .n_elements = rows * (columns ? columns : 1),
                                                .data = (const uint8_t *)zeros};
}

static void add_3(const char *name, uint64_t experts, uint64_t rows, uint64_t columns)
{
    add(name, rows, columns);
    struct tensor *tensor = &tensors[list.n_tensors - 1];
    tensor->n_dims = 3;
    memcpy(tensor->sizes, (uint64_t[]){experts, rows, columns}, 3 * sizeof(uint64_t));
    memcpy(tensor->strides, (uint64_t[]){rows * columns, columns, 1}, 3 * sizeof(uint64_t));
    tensor->n_elements *= experts;
}

/* ' stands for ". Of a network whose layer x is 6 wide: a table [5, 4], and two values, one of
 * which is multiplied by a vector. */
static bool read_network(const char *layers)
{
    static char text[4096];
    struct spec_vocabularies vocabularies;
    struct spec_json_files files = {.folder = "."};
    snprintf(text, sizeof text,
             "{'dcnv2_model': 1, 'columns': [{'name': 'city'}, {'name': 'price', 'type': "
             "'number'}], 'vocabularies': {'city': {'values': ['a', 'b', 'c', 'd']}}, 'layers': "
             "[{'name': 'x', 'kind': 'input', 'parts': [{'table': 'emb', 'lookup': 'city'}, "
             "{'value': 'price'}, {'value': 'price', 'times': 'v'}]}, %s]}",
             layers);
    for (char *at = text; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    const struct tensor *twice;
    arena_reset(&arena, 0);
    CHECK(tensor_list_sort(&list, &arena, &twice) == 0);
    const bool is_read =
        spec_json_read(&spec, &vocabularies, &arena, text_of(text), &files, &error) == 0 &&
        spec_resolve(&spec, &arena, &list, &error) == 0;
    CHECK_MSG(is_read, "%s", error.message);
    return is_read;
}

static void start(void)
{
    list.n_tensors = 0;
    add("emb", 5, 4);
    add("v", 1, 0);
    add("w", 6, 0);
}

TEST(a_network_is_drawn_with_cross_beside_deep_beside_linear)
{
    static const char expected[] =
        "            layer              kind                                 width parameters   "
        "mul-adds\n"
        "o           x                  input                                    6         21      "
        "    1\n"
        "|             table       emb [5, 4]\n"
        "|             times       v [1]\n"
        "+-o         c                  cross                               6 -> 6         42      "
        "   42\n"
        "| |           weight      cw [6, 6]\n"
        "| |           bias        cb [6]\n"
        "+-|-o       d                  linear                              6 -> 3         21      "
        "   18\n"
        "| | |         weight      dw [3, 6]\n"
        "| | |         bias        db [3]\n"
        "| | o       r                  activation relu                     3 -> 3          0      "
        "    0\n"
        "o-+-+       out                output                             15 -> 1         15      "
        "   15\n"
        "              weight      w [6]\n"
        "              weight      wc [6]\n"
        "              weight      wd [3]\n"
        "in all: 21 parameters, 84 bytes, in tables; 78 parameters, 312 bytes, in layers;\n"
        "        76 multiply-adds per row (functions and the pooling of lists are not counted)\n";
    static char drawn[MAX_TEXT];
    start();
    add("cw", 6, 6);
    add("cb", 6, 0);
    add("dw", 3, 6);
    add("db", 3, 0);
    add("wc", 6, 0);
    add("wd", 3, 0);
    if (!read_network(
            "{'name': 'c', 'kind': 'cross', 'input': 'x', 'weight': 'cw', 'bias': 'cb'}, {'name': "
            "'d', 'kind': 'linear', 'input': 'x', 'weight': 'dw', 'bias': 'db'}, {'name': 'r', "
            "'kind': 'activation', 'function': 'relu', 'input': 'd'}, {'name': 'out', 'kind': "
            "'output', 'inputs': ['x', 'c', 'r'], 'weights': ['w', 'wc', 'wd']}"))
        return;
    FILE *out = fmemopen(drawn, sizeof drawn, "w");
    CHECK(out && spec_draw(&spec, &list, out) == 0);
    fclose(out);
    CHECK_MSG(strcmp(drawn, expected) == 0, "\n%s", drawn);
}

/* Counts of the layer l of that kind over x, 6 wide. */
static void check_count(const char *kind, uint64_t parameters, uint64_t multiply_adds)
{
    char layers[1024];
    snprintf(layers, sizeof layers,
             "{'name': 'l', 'input': 'x', %s}, {'name': 'out', 'kind': 'output', 'input': 'l', "
             "'weight': 'w'}",
             kind);
    if (!read_network(layers))
        return;
    const struct layer_count count = spec_count_layer(&spec, 1, &list);
    CHECK_MSG(count.parameters == parameters && count.bytes == 4 * parameters, "%s: %llu", kind,
              (unsigned long long)count.parameters);
    CHECK_MSG(count.multiply_adds == multiply_adds, "%s: %llu multiply-adds", kind,
              (unsigned long long)count.multiply_adds);
}

TEST(each_kind_counts_its_parameters_and_products)
{
    start();
    add("m", 6, 6);
    check_count("'kind': 'linear', 'weight': 'm'", 36, 36);
    check_count("'kind': 'cross', 'weight': 'm'", 36, 36 + 6);
    add("a", 6, 0);
    check_count("'kind': 'cross', 'weight': 'm', 'bias': 'a'", 42, 36 + 6);
    check_count("'kind': 'cross_layer_norm', 'weight': 'm', 'norm_weight': 'a'", 42, 36 + 3 * 6);
    start();
    add("a", 6, 0);
    check_count("'kind': 'cross_vector', 'weight': 'a'", 6, 6 + 6);
    check_count("'kind': 'layer_norm', 'weight': 'a'", 6, 3 * 6);
    add("b", 6, 0);
    check_count("'kind': 'batch_norm', 'mean': 'a', 'variance': 'b'", 12, 6);
    start();
    check_count("'kind': 'activation', 'function': 'tanh'", 0, 0);
    add("u", 6, 2);
    add("lv", 2, 6);
    check_count("'kind': 'cross_low_rank', 'function': 'none', 'u': 'u', 'v': 'lv'", 24,
                2 * 6 + 6 * 2 + 6);
    start();
    add_3("u", 3, 6, 2);
    add_3("lv", 3, 2, 6);
    add_3("c", 3, 2, 2);
    add("g", 3, 6);
    check_count("'kind': 'cross_mixture', 'u': 'u', 'v': 'lv', 'c': 'c', 'gate': 'g', "
                "'function': 'tanh'",
                36 + 36 + 12 + 18, 3 * (2 * 6 + 2 * 2 + 6 * 2 + 6 + 6 + 6));
}

int main(void)
{
    arena_init(&arena, 1 << 20);
    RUN(a_network_is_drawn_with_cross_beside_deep_beside_linear);
    RUN(each_kind_counts_its_parameters_and_products);
    arena_free(&arena);
    return test_report();
}
