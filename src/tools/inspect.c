/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/inspect.h"

#include <stdlib.h>

#include "format/safetensors.h"
#include "format/sklearn_file.h"
#include "format/torch_file.h"
#include "model/model.h"
#include "network/published.h"

enum {
    NAME_MAX_LENGTH = 64,
    SHAPE_MAX_LENGTH = 96,
    LINE_MAX_LENGTH = 1024,
    TEXT_MAX_LENGTH = 64,
    CLASSES_SHOWN = 4
};

/* A file that is looked at; everything is in the arena or the bytes. */
struct inspection {
    const char *path;
    FILE *out;
    struct arena arena;
    struct file_bytes bytes;
    struct dcnv2_error *error;
};

/* ---- lines ---- */

/* Up to `most` bytes of a text of the file's, in quotes; what would break the line becomes '?'. */
static void print_up_to(FILE *out, struct text text, size_t most)
{
    char shown[LINE_MAX_LENGTH];
    const bool is_cut = text.length > most;
    size_t length = is_cut ? most : text.length;
    if (length)
        memcpy(shown, text.at, length);
    length = text_make_printable(shown, length, is_cut);
    fprintf(out, "\"%.*s%s\"", (int)length, shown, is_cut ? ".." : "");
}

static void print_text(FILE *out, struct text text)
{
    print_up_to(out, text, TEXT_MAX_LENGTH);
}

static void print_tensors(FILE *out, const struct tensor_list *list)
{
    fprintf(out, "tensors: %zu\n", list->n_tensors);
    for (size_t i = 0; i < list->n_tensors; i++) {
        const struct tensor *tensor = &list->tensors[i];
        char shape[SHAPE_MAX_LENGTH];
        tensor_print_shape(tensor, shape, sizeof shape);
        fprintf(out, "  %-4s %-16s ", tensor_dtype_name(tensor->dtype), shape);
        print_text(out, tensor->name);
        fputc('\n', out);
    }
}

/* The first classes of a column, and the last. */
static void print_column(FILE *out, uint32_t number, struct text name, uint32_t n_classes,
                         struct text (*class_at)(const void *column, uint32_t i),
                         const void *column)
{
    fprintf(out, "  %u ", number);
    print_text(out, name);
    fprintf(out, ": %u classes", n_classes);
    for (uint32_t i = 0; i < n_classes; i++) {
        if (i == CLASSES_SHOWN && n_classes > CLASSES_SHOWN + 1) {
            fputs(", ..", out);
            i = n_classes - 1;
        }
        fputs(i ? ", " : ": ", out);
        print_text(out, class_at(column, i));
    }
    fputc('\n', out);
}

/* The steps that change a value. */
static void print_scaling(FILE *out, const struct scaling *scaling)
{
    if (scaling->factor == 1 && scaling->shift == 0)
        fprintf(out, ": mean %.17g, scale %.17g", scaling->mean, scaling->scale);
    else
        fprintf(out, ": factor %.17g, shift %.17g", scaling->factor, scaling->shift);
    if (isfinite(scaling->low))
        fprintf(out, ", clipped to %.17g .. %.17g", scaling->low, scaling->high);
    fputc('\n', out);
}

/* `names`: NULL where the scaler was fitted without. */
static void print_dense(FILE *out, const struct text *names, const struct scaling *scaling,
                        uint32_t n)
{
    fprintf(out, "dense columns: %u\n", n);
    for (uint32_t i = 0; i < n; i++) {
        fprintf(out, "  %u ", i);
        if (names)
            print_text(out, names[i]);
        else
            fputs("without a name", out);
        print_scaling(out, &scaling[i]);
    }
}

static int print_network(struct inspection *inspection, const struct network_spec *spec,
                         const struct tensor_list *list)
{
    char line[LINE_MAX_LENGTH];
    FILE *out = inspection->out;
    spec_describe(spec, line, sizeof line);
    fprintf(out, "network: %u dense and %u sparse columns; %s\n",
            spec->n_columns - spec->n_categories, spec->n_categories, line);
    for (uint32_t i = 0; i < spec->n_assumptions; i++)
        fprintf(out, "assumed: %.*s\n", TEXT_SHOWN(spec->assumptions[i]));
    return spec_draw(spec, list, out) == 0 ? DCNV2_OK : model_error_memory(inspection->error);
}

/* ---- tensors alone ---- */

static const struct tensor *find_table(const struct tensor_list *list, size_t i)
{
    char name[NAME_MAX_LENGTH];
    snprintf(name, sizeof name, "embeddings.%zu.weight", i);
    const struct tensor *table = tensor_find(list, name);
    return table && table->n_dims == 2 && table->sizes[0] > 0 && table->sizes[0] <= UINT32_MAX
               ? table
               : NULL;
}

/* The width of x0, from whichever layer takes it; 0: there is none. */
static uint64_t input_width(const struct tensor_list *list)
{
    static const char *const names[] = {"cross_layers.0.0.weight", "cross_layers.0.weight",
                                        "dnn.0.weight"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct tensor *weight = tensor_find(list, names[i]);
        if (weight && weight->n_dims == 2)
            return weight->sizes[1];
    }
    return 0;
}

/* Which columns the network was made for can be seen in its tables. */
static int recognise(struct inspection *inspection, const struct tensor_list *list)
{
    struct arena *arena = &inspection->arena;
    struct network_spec spec;
    struct format_error reason;
    uint64_t width = 0;
    uint32_t n_tables = 0;
    while (find_table(list, n_tables))
        width += find_table(list, n_tables++)->sizes[1];
    const uint64_t n_dense = input_width(list) > width ? input_width(list) - width : 0;
    struct published_category *categories = arena_calloc(arena, n_tables + 1, sizeof *categories);
    struct published_number *numbers = arena_calloc(arena, n_dense + 1, sizeof *numbers);
    if (categories == NULL || numbers == NULL)
        return model_error_memory(inspection->error);
    for (uint32_t i = 0; i < n_tables; i++)
        categories[i] =
            (struct published_category){.name = find_table(list, i)->name,
                                        .n_classes = (uint32_t)find_table(list, i)->sizes[0] - 1,
                                        .unseen_row = SPEC_NONE,
                                        .missing_row = SPEC_NONE};
    const struct published_columns columns = {categories, n_tables, numbers, (uint32_t)n_dense};
    if (published_recognise(&spec, arena, list, &columns, &reason) == 0 &&
        spec_resolve(&spec, arena, list, &reason) == 0)
        return print_network(inspection, &spec, list);
    fprintf(inspection->out, "network: not recognised: %s\n", reason.message);
    return DCNV2_OK;
}

static int inspect_tensors(struct inspection *inspection)
{
    const struct file_bytes *bytes = &inspection->bytes;
    const bool is_safetensors = safetensors_is(bytes->at, bytes->size);
    struct arena *arena = &inspection->arena;
    struct tensor_list list;
    struct format_error reason;
    if ((is_safetensors
             ? safetensors_read_weights(&list, arena, bytes->at, bytes->size, &reason)
             : torch_file_read(&list, arena, bytes->at, bytes->size, NULL, &reason)) != 0)
        return model_error_from(inspection->error, DCNV2_ERROR_FORMAT, inspection->path, &reason);
    if (list.n_tensors == 0)
        return model_error_set(inspection->error, DCNV2_ERROR_FORMAT, inspection->path,
                               "holds no tensors");
    tensor_list_take_off_prefix(&list, "output.weight");
    fprintf(inspection->out, "%s: %s of %zu bytes\n", inspection->path,
            is_safetensors ? "safetensors" : "a PyTorch state dict", bytes->size);
    const int status = recognise(inspection, &list);
    print_tensors(inspection->out, &list);
    return status;
}

/* ---- an encoder ---- */

static struct text class_of_encoder(const void *encoder, uint32_t i)
{
    return ((const struct sklearn_encoder *)encoder)->classes[i];
}

static int inspect_encoder(struct inspection *inspection)
{
    struct sklearn_file file;
    struct format_error reason;
    FILE *out = inspection->out;
    if (sklearn_file_read(&file, &inspection->arena, inspection->bytes.at, inspection->bytes.size,
                          &reason) != 0)
        return model_error_from(inspection->error, DCNV2_ERROR_FORMAT, inspection->path, &reason);
    fprintf(out, "%s: a pickled (%s, %s) of %zu bytes\n", inspection->path,
            file.scaler ? file.scaler : "no scaler",
            file.is_ordinal ? "OrdinalEncoder" : "{column: LabelEncoder}", inspection->bytes.size);
    print_dense(out, file.dense_names, file.scaling, file.n_dense);
    fprintf(out, "sparse columns: %u\n", file.n_encoders);
    for (uint32_t i = 0; i < file.n_encoders; i++)
        print_column(out, i, file.encoders[i].column, file.encoders[i].n_classes, class_of_encoder,
                     &file.encoders[i]);
    return DCNV2_OK;
}

/* ---- a converted file; weights with a model.json or FuxiCTR's files ---- */

static struct text class_of_column(const void *column, uint32_t i)
{
    return reading_class(column, i);
}

/* What the files of both kinds of whole models tell. */
static int print_model(struct inspection *inspection, const struct reading *reading,
                       const struct dcnv2_model *model, const struct tensor_list *list)
{
    FILE *out = inspection->out;
    if (print_network(inspection, &model->spec, list) != DCNV2_OK)
        return inspection->error->status;
    if (model->note)
        fprintf(out, "note: %s\n", model->note);
    if (model->golden.n_rows)
        fprintf(out, "golden set: %u rows, largest distance of a score %.2g, limit %g\n",
                model->golden.n_rows, model->golden.largest, model->golden.limit);
    if (!reading->is_described)
        print_dense(out, reading->names + reading->n_sparse, reading->scaling, reading->n_dense);
    fprintf(out, "%s: %u\n", reading->is_described ? "vocabularies" : "sparse columns",
            reading->n_sparse);
    for (uint32_t i = 0; i < reading->n_sparse; i++)
        print_column(out, i, reading->names[i], reading->columns[i].n_classes, class_of_column,
                     &reading->columns[i]);
    print_tensors(out, list);
    return DCNV2_OK;
}

static void print_metadata(FILE *out, const struct safetensors *file)
{
    fputs("metadata, beside a checksum of each tensor, which were found right:\n", out);
    for (size_t i = 0; i < file->metadata.n_entries; i++) {
        const struct safetensors_entry *entry = &file->metadata.entries[i];
        if (strncmp(entry->key, SAFETENSORS_CHECKSUM, strlen(SAFETENSORS_CHECKSUM)) == 0)
            continue;
        fputs("  ", out);
        print_text(out, text_of(entry->key));
        fputs(": ", out);
        print_up_to(out, text_of(entry->value), LINE_MAX_LENGTH);
        fputc('\n', out);
    }
}

static int print_converted(struct inspection *inspection, const struct reading *reading,
                           const struct dcnv2_model *model)
{
    struct safetensors file;
    struct format_error reason;
    if (safetensors_read(&file, &inspection->arena, inspection->bytes.at, inspection->bytes.size,
                         &reason) != 0)
        return model_error_from(inspection->error, DCNV2_ERROR_FORMAT, inspection->path, &reason);
    fprintf(inspection->out, "%s: a converted model of %zu bytes\n", inspection->path,
            inspection->bytes.size);
    const int status = print_model(inspection, reading, model, &file.list);
    if (status == DCNV2_OK)
        print_metadata(inspection->out, &file);
    return status;
}

static int print_described(struct inspection *inspection, const struct reading *reading,
                           const struct dcnv2_model *model)
{
    const bool is_file = strcmp(reading->weights_path, inspection->path) == 0;
    fprintf(inspection->out, "%s: %s of %zu bytes, with %s\n", inspection->path,
            is_file ? "weights" : reading->weights_path, reading->model_bytes.size,
            reading->is_fuxictr ? "FuxiCTR's files" : "a model.json");
    return print_model(inspection, reading, model, &reading->tensors);
}

/* As the server loads it, so that everything it would refuse is refused. */
static int inspect_model(struct inspection *inspection)
{
    const struct dcnv2_source source = {.model_path = inspection->path};
    struct reading reading;
    dcnv2_model *model = NULL;
    int status = reading_open(&reading, &source, inspection->error);
    if (status == DCNV2_OK)
        status = model_make(&reading, &model);
    if (status == DCNV2_OK)
        status =
            (reading.is_converted ? print_converted : print_described)(inspection, &reading, model);
    dcnv2_model_free(model);
    reading_close(&reading);
    return status;
}

/* Weights beside which a description lies are read with that, others by the names of their tensors.
 */
static int inspect_weights(struct inspection *inspection)
{
    const struct dcnv2_source source = {.model_path = inspection->path};
    bool is_described;
    const int status = reading_find_description(&source, &is_described, inspection->error);
    if (status != DCNV2_OK)
        return status;
    return is_described ? inspect_model(inspection) : inspect_tensors(inspection);
}

int inspect_file(const char *path, FILE *out, struct dcnv2_error *error)
{
    struct inspection inspection = {.path = path, .out = out, .error = error};
    struct format_error reason;
    if (described_is_folder(path))
        return inspect_model(&inspection);
    if (file_read(path, &inspection.bytes, &reason) != 0)
        return model_error_from(error, DCNV2_ERROR_IO, path, &reason);
    const uint8_t *bytes = inspection.bytes.at;
    const size_t size = inspection.bytes.size;
    arena_init(&inspection.arena, reading_limit_bytes(size));
    int status;
    if (safetensors_is_converted(bytes, size))
        status = inspect_model(&inspection);
    else if (torch_file_is(bytes, size) || safetensors_is(bytes, size))
        status = inspect_weights(&inspection);
    else if (sklearn_file_is(bytes, size))
        status = inspect_encoder(&inspection);
    else
        status = model_error_set(error, DCNV2_ERROR_FORMAT, path,
                                 "is neither a PyTorch zip file, a pickle nor a safetensors file");
    arena_free(&inspection.arena);
    file_free(&inspection.bytes);
    return status;
}
