/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_converted_refused.c: converted files that are whole, with right checksums, and do not
 * hold a model: somebody else wrote them. Each starts as the small model's.
 */
#include <stdlib.h>
#include <unistd.h>

#include "encode/vocabulary.h"
#include "flood.h"
#include "format/build.h"
#include "format/checksum.h"
#include "format/safetensors.h"
#include "model/convert.h"
#include "model_files.h"
#include "test.h"

enum { ARENA_BYTES = 16 << 20, MOST_TENSORS = 64, MOST_ENTRIES = 64 };

/* A converted file, taken apart. Data may be written into. */
static struct parts {
    char folder[64], path[128];
    struct arena arena;
    struct bytes bytes;
    struct tensor tensors[MOST_TENSORS];
    size_t n_tensors;
    struct safetensors_entry entries[MOST_ENTRIES];
    size_t n_entries;
} parts;

static void die(const char *what)
{
    fprintf(stderr, "tests: %s\n", what);
    exit(1);
}

static void parts_start(void)
{
    struct model_files files;
    struct dcnv2_error error = {0};
    struct safetensors file;
    struct format_error reason;
    model_files_start(&files);
    model_files_put(&files);
    parts = (struct parts){.folder = "/tmp/dcnv2-converted-XXXXXX"};
    if (mkdtemp(parts.folder) == NULL)
        die("no folder");
    snprintf(parts.path, sizeof parts.path, "%s/model.safetensors", parts.folder);
    const struct dcnv2_source source = model_files_source(&files);
    if (model_convert(&source, NULL, NULL, parts.path, &error) != DCNV2_OK)
        die(error.message);
    model_files_end(&files);
    arena_init(&parts.arena, ARENA_BYTES);
    parts.bytes = bytes_of_file(parts.path);
    if (safetensors_read(&file, &parts.arena, parts.bytes.at, parts.bytes.size, &reason) != 0)
        die(reason.message);
    parts.n_tensors = file.list.n_tensors;
    memcpy(parts.tensors, file.list.tensors, parts.n_tensors * sizeof *parts.tensors);
    for (size_t i = 0; i < file.metadata.n_entries; i++) {
        const char *key = file.metadata.entries[i].key;
        if (strncmp(key, "checksum", 8) != 0 && strcmp(key, "format") && strcmp(key, "version"))
            parts.entries[parts.n_entries++] = file.metadata.entries[i];
    }
}

static void parts_end(void)
{
    unlink(parts.path);
    if (rmdir(parts.folder) != 0)
        die("a folder was left behind");
    bytes_free(&parts.bytes);
    arena_free(&parts.arena);
}

static void write_parts(void)
{
    struct tensor_list list = {.tensors = parts.tensors, .n_tensors = parts.n_tensors};
    const struct safetensors_metadata metadata = {.entries = parts.entries,
                                                  .n_entries = parts.n_entries};
    struct text header;
    struct format_error reason;
    struct bytes out = {0};
    if (safetensors_header(&list, &metadata, &parts.arena, &header, &reason) != 0)
        die(reason.message);
    bytes_add(&out, header.at, header.length);
    for (size_t i = 0; i < list.n_tensors; i++)
        bytes_add(&out, list.tensors[i].data, safetensors_bytes(&list.tensors[i]));
    write_whole_file(parts.path, out.at, out.size);
    bytes_free(&out);
}

static struct tensor *tensor_of(const char *name)
{
    for (size_t i = 0; i < parts.n_tensors; i++)
        if (text_is(parts.tensors[i].name, name))
            return &parts.tensors[i];
    die(name);
    return NULL;
}

static uint8_t *data_of(const char *name)
{
    return (uint8_t *)tensor_of(name)->data;
}

/* The first slot of the tensor that is in use, or the first that is not. */
static struct vocabulary_slot *slot_of(const char *name, bool is_used)
{
    struct vocabulary_slot *slots = (struct vocabulary_slot *)(void *)data_of(name);
    while ((slots->high != 0) != is_used)
        slots++;
    return slots;
}

static void set_entry(const char *key, const char *value)
{
    for (size_t i = 0; i < parts.n_entries; i++)
        if (strcmp(parts.entries[i].key, key) == 0) {
            parts.entries[i].value = value;
            return;
        }
    die(key);
}

static void drop_entry(const char *key)
{
    for (size_t i = 0; i < parts.n_entries; i++)
        if (strcmp(parts.entries[i].key, key) == 0) {
            parts.entries[i] = parts.entries[--parts.n_entries];
            return;
        }
    die(key);
}

static void drop_tensor(const char *name)
{
    *tensor_of(name) = parts.tensors[--parts.n_tensors];
}

/* Written again and refused; the parts are thrown away. */
static bool is_refused_now(const char *needle)
{
    const struct dcnv2_source source = {.model_path = parts.path};
    write_parts();
    const bool good = is_load_refused(&source, DCNV2_ERROR_MODEL, parts.path, needle);
    parts_end();
    return good;
}

TEST(what_is_taken_apart_and_put_together_is_good)
{
    parts_start();
    const struct dcnv2_source source = {.model_path = parts.path};
    struct bytes before = bytes_of_file(parts.path);
    write_parts();
    struct bytes after = bytes_of_file(parts.path);
    CHECK(is_load_good(&source));
    CHECK(before.size == after.size);
    bytes_free(&before);
    bytes_free(&after);
    parts_end();
}

TEST(slots_that_lead_outside_are_refused)
{
    static const char slots[] = "vocabulary.1.slots";
    parts_start();
    slot_of(slots, true)->index = 3;
    CHECK(is_refused_now("an index is not below the number of classes"));
    parts_start();
    slot_of(slots, true)->index = UINT32_MAX;
    CHECK(is_refused_now("an index is not below the number of classes"));
    static const uint64_t outside[] = {10ull << 32, 9ull | 1ull << 32, UINT64_MAX,
                                       UINT32_MAX | 1ull << 32, 0xFFFFFFFFull << 32};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        parts_start();
        struct vocabulary_slot *slot = slot_of(slots, true);
        slot->low = outside[i]; /* its classes have 9 bytes */
        slot->high = 0xFF000001;
        CHECK(is_refused_now("a text lies outside the texts"));
    }
    parts_start();
    struct vocabulary_slot *slot = slot_of(slots, true);
    slot->low = 9; /* no text, where the last one ends */
    slot->high = 0xFF000001;
    CHECK(is_refused_now("a class is not found by its text"));
}

TEST(a_hash_table_in_which_a_search_would_not_end_is_refused)
{
    static const char slots[] = "vocabulary.1.slots";
    parts_start();
    *slot_of(slots, false) = *slot_of(slots, true);
    CHECK(is_refused_now("not as many as classes, and an empty one"));
    parts_start();
    *slot_of(slots, true) = *slot_of(slots, false);
    CHECK(is_refused_now("not as many as classes, and an empty one"));
    parts_start();
    tensor_of(slots)->sizes[0] = 3;
    tensor_of(slots)->n_elements = 6;
    CHECK(is_refused_now("not as many as classes, and an empty one"));
    parts_start();
    tensor_of(slots)->sizes[0] = 0;
    tensor_of(slots)->n_elements = 0;
    CHECK(is_refused_now("there are none, or too many"));
}

TEST(offsets_that_do_not_lead_through_the_texts_are_refused)
{
    static const char offsets[] = "vocabulary.1.offsets";
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {{0, 1}, {1, 7}, {2, 2}, {3, 8}, {3, 10}, {2, UINT32_MAX}, {3, UINT32_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parts_start();
        put_u32(data_of(offsets) + 4 * cases[i].at, cases[i].value);
        CHECK(is_refused_now("\"vocabulary.1.offsets\" does not lead through the texts"));
    }
    parts_start();
    tensor_of(offsets)->sizes[0] = tensor_of(offsets)->n_elements = 0;
    CHECK(is_refused_now("does not lead through the texts"));
    parts_start();
    tensor_of(offsets)->sizes[0] = tensor_of(offsets)->n_elements = 3;
    CHECK(is_refused_now("does not lead through the texts"));
}

TEST(vocabularies_that_are_missing_or_of_another_type_are_refused)
{
    static const char *const names[] = {"vocabulary.0.text", "vocabulary.0.offsets",
                                        "vocabulary.1.slots"};
    for (size_t i = 0; i < 3; i++) {
        parts_start();
        drop_tensor(names[i]);
        CHECK(is_refused_now("is missing"));
        parts_start();
        struct tensor *tensor = tensor_of(names[i]);
        tensor->dtype = TENSOR_U8;
        tensor->n_dims = 3;
        tensor->sizes[0] = safetensors_bytes(tensor);
        tensor->sizes[1] = tensor->sizes[2] = 1;
        tensor->n_elements = tensor->sizes[0];
        CHECK(is_refused_now("is another one"));
    }
    parts_start();
    tensor_of("vocabulary.1.slots")->name = text_of("vocabulary.2.slots");
    CHECK(is_refused_now("\"vocabulary.1.slots\""));
    parts_start();
    parts.tensors[parts.n_tensors] = *tensor_of("vocabulary.1.slots");
    parts.tensors[parts.n_tensors++].name = text_of("vocabulary.2.slots");
    CHECK(is_refused_now("has 7 tensors of vocabularies; its 2 sparse columns need 6"));
}

TEST(networks_that_are_none_are_refused)
{
    const float nan = __builtin_nanf(""), infinite = __builtin_inff();
    parts_start();
    memcpy(data_of("embeddings.1.weight") + 44, &nan, sizeof nan);
    CHECK(is_refused_now("\"embeddings.1.weight\" holds a value that is not a finite float"));
    parts_start();
    memcpy(data_of("dnn.0.weight"), &infinite, sizeof infinite);
    CHECK(is_refused_now("\"dnn.0.weight\" holds a value that is not a finite float"));
    parts_start();
    drop_tensor("embeddings.1.weight");
    CHECK(is_refused_now("\"embeddings.1.weight\" of shape [4, width] is missing"));
    parts_start();
    tensor_of("embeddings.1.weight")->sizes[0] = 3;
    tensor_of("embeddings.1.weight")->sizes[1] = 4;
    CHECK(is_refused_now("has 3 classes and needs [4, width]"));
    parts_start();
    tensor_of("output.bias")->dtype = TENSOR_U32;
    CHECK(is_refused_now("\"output.bias\" is of dtype U32; F32 is expected"));
    parts_start();
    tensor_of("output.bias")->name = text_of("output.Bias");
    CHECK(is_refused_now("output.bias"));
}

TEST(schemas_that_do_not_fit_are_refused)
{
    static const struct {
        const char *key, *value, *needle;
    } cases[] = {
        {"sparse_columns", "[\"cate\"]", "has 6 tensors of vocabularies; its 1 sparse columns"},
        {"sparse_columns", "[\"cate\",\"brand\",\"more\"]", "\"vocabulary.2.text\""},
        {"sparse_columns", "[\"cate\",\"cate\"]", "column \"cate\" is named twice"},
        {"sparse_columns", "[\"cate\",\"price\"]", "column \"price\" is named twice"},
        {"sparse_columns", "\"cate\"", "not a JSON array"},
        {"sparse_columns", "[1,2]", "is not of texts"},
        {"dense_columns", "[\"price\"]", "has 1 dense columns, 2 means and 2 scales"},
        {"mean", "[1]", "has 2 dense columns, 1 means and 2 scales"},
        {"mean", "[1,1e999]", "is not of finite numbers"},
        {"scale", "[2,0]", "the scale of dense column 2 is 0"},
        {"scale", "[2,-0.0]", "the scale of dense column 2 is 0"},
        {"scale", "[2,\"1\"]", "is not of finite numbers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parts_start();
        set_entry(cases[i].key, cases[i].value);
        CHECK(is_refused_now(cases[i].needle));
    }
    parts_start();
    set_entry("sparse_columns", "[]");
    set_entry("dense_columns", "[]");
    set_entry("mean", "[]");
    set_entry("scale", "[]");
    CHECK(is_refused_now("neither dense nor sparse columns"));
    parts_start();
    parts.n_entries = 0;
    CHECK(is_refused_now("holds no model: its metadata have no \"sparse_columns\"; if it is a "
                         "checkpoint of dcnv2-train, use model.safetensors beside it"));
}

/* ---- hash tables ---- */

enum { COLLIDING = 3000, TEXT_BYTES = 12 };

/* The file's own seed. */
static struct hash_seed seed_of_parts(void)
{
    struct hash_seed seed;
    for (size_t i = 0; i < parts.n_entries; i++)
        if (strcmp(parts.entries[i].key, "hash_seed") == 0 &&
            hash_seed_parse(parts.entries[i].value, &seed))
            return seed;
    die("no hash_seed");
    return (struct hash_seed){0};
}

/* The classes of column 0, which is read first, in a table of this seed; the texts are borrowed. */
static void set_classes(const struct hash_seed *seed, const struct text *classes, uint32_t n)
{
    struct tensor *texts = tensor_of("vocabulary.0.text");
    struct tensor *offsets = tensor_of("vocabulary.0.offsets");
    struct tensor *slots = tensor_of("vocabulary.0.slots");
    struct vocabulary vocabulary;
    char *copy = arena_alloc(&parts.arena, (size_t)n * TEXT_BYTES);
    uint32_t *ends = arena_calloc(&parts.arena, n + 1, sizeof *ends);
    struct text *moved = arena_calloc(&parts.arena, n, sizeof *moved);
    for (uint32_t i = 0; i < n; i++) {
        moved[i] = (struct text){copy + ends[i], classes[i].length};
        memcpy(copy + ends[i], classes[i].at, classes[i].length);
        ends[i + 1] = ends[i] + (uint32_t)classes[i].length;
    }
    if (vocabulary_init_in_place(&vocabulary, seed, &parts.arena, copy, moved, n) != 0)
        die("no memory");
    texts->data = (const uint8_t *)copy;
    texts->sizes[0] = texts->n_elements = ends[n];
    offsets->data = (const uint8_t *)ends;
    offsets->sizes[0] = offsets->n_elements = n + 1;
    slots->data = (const uint8_t *)vocabulary.slots;
    slots->sizes[0] = vocabulary.n_slots;
    slots->n_elements = 2 * (uint64_t)vocabulary.n_slots;
}

/* Writes the parts as version 1 had them: without a seed. */
static void write_version_1(void)
{
    static const char start[] = "{\"__metadata__\":{\"checksum\":\"";
    static const char version[] = "\"version\":\"2\"";
    drop_entry("hash_seed");
    write_parts();
    struct bytes bytes = bytes_of_file(parts.path);
    const uint64_t header_size = get_u64(bytes.at);
    char *header = (char *)bytes.at + 8, digits[CHECKSUM_DIGITS + 1];
    char *found = memmem(header, header_size, version, sizeof version - 1);
    if (found == NULL)
        die("no version");
    found[sizeof version - 3] = '1';
    memset(header + sizeof start - 1, '0', CHECKSUM_DIGITS);
    checksum_print(checksum_of(header, header_size), digits);
    memcpy(header + sizeof start - 1, digits, CHECKSUM_DIGITS);
    write_whole_file(parts.path, bytes.at, bytes.size);
    bytes_free(&bytes);
}

static bool is_refused_as_version_1(const char *needle)
{
    const struct dcnv2_source source = {.model_path = parts.path};
    write_version_1();
    const bool good = is_load_refused(&source, DCNV2_ERROR_MODEL, parts.path, needle);
    parts_end();
    return good;
}

TEST(tables_of_classes_that_collide_are_refused)
{
    parts_start();
    const struct hash_seed seed = seed_of_parts();
    struct flood flood = flood_make(&seed, COLLIDING, TEXT_BYTES);
    set_classes(&seed, flood.texts, COLLIDING);
    CHECK(is_refused_now("\"vocabulary.0.slots\": too many full ones in a row"));
    flood_free(&flood);
    /* As many others are taken: what is refused then is a table of embeddings for 3. */
    parts_start();
    flood = flood_make(&hash_seed_fixed, COLLIDING, TEXT_BYTES);
    set_classes(&seed, flood.texts, COLLIDING);
    CHECK(is_refused_now("has 3000 classes and needs"));
    parts_start();
    set_classes(&hash_seed_fixed, flood.texts, COLLIDING);
    CHECK(is_refused_as_version_1("\"vocabulary.0.slots\": too many full ones in a row"));
    flood_free(&flood);
}

TEST(a_table_with_the_seed_of_another_is_refused)
{
    parts_start();
    const struct hash_seed seed = seed_of_parts();
    struct flood flood = flood_make(&hash_seed_fixed, COLLIDING, TEXT_BYTES);
    set_classes(&seed, flood.texts, COLLIDING);
    set_entry("hash_seed", "00000000000000010000000000000002000000000000000300000000000000ff");
    CHECK(is_refused_now("\"vocabulary.0.slots\": a class is not found by its text"));
    parts_start();
    set_classes(&seed, flood.texts, COLLIDING); /* a seed where a file of version 1 has none */
    CHECK(is_refused_as_version_1("\"vocabulary.0.slots\": a class is not found by its text"));
    flood_free(&flood);
}

TEST(a_seed_that_is_missing_or_none_is_refused)
{
    static const char needle[] = "metadata \"hash_seed\" is not 64 hexadecimal digits";
    parts_start();
    drop_entry("hash_seed");
    CHECK(is_refused_now(needle));
    parts_start();
    set_entry("hash_seed", "");
    CHECK(is_refused_now(needle));
    parts_start();
    set_entry("hash_seed", "x000000000000001000000000000000200000000000000030000000000000004");
    CHECK(is_refused_now(needle));
}

int main(void)
{
    RUN(what_is_taken_apart_and_put_together_is_good);
    RUN(slots_that_lead_outside_are_refused);
    RUN(a_hash_table_in_which_a_search_would_not_end_is_refused);
    RUN(offsets_that_do_not_lead_through_the_texts_are_refused);
    RUN(vocabularies_that_are_missing_or_of_another_type_are_refused);
    RUN(networks_that_are_none_are_refused);
    RUN(schemas_that_do_not_fit_are_refused);
    RUN(tables_of_classes_that_collide_are_refused);
    RUN(a_table_with_the_seed_of_another_is_refused);
    RUN(a_seed_that_is_missing_or_none_is_refused);
    return test_report();
}
