/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_writer.h"

#include <stdlib.h>

#include "format/pickle_writer.h"
#include "format/zip_writer.h"

/* The folder in the archive; torch.save() takes the file's name, any other is read as well. */
#define FOLDER "archive/"

enum { NAME_MAX_LENGTH = 40 };

static void put_text(struct pickle_writer *pickle, const char *text)
{
    pickle_put_text(pickle, text_of(text));
}

static void put_empty_ordered_dict(struct pickle_writer *pickle)
{
    pickle_put_name(pickle, "collections", "OrderedDict");
    pickle_put_opcode(pickle, OP_EMPTY_TUPLE);
    pickle_put_opcode(pickle, OP_REDUCE);
}

/* What stands for the bytes of entry data/{i}. */
static void put_storage(struct pickle_writer *pickle, size_t i, uint64_t n_elements)
{
    char key[NAME_MAX_LENGTH];
    snprintf(key, sizeof key, "%zu", i);
    pickle_put_opcode(pickle, OP_MARK);
    put_text(pickle, "storage");
    pickle_put_name(pickle, "torch", "FloatStorage");
    put_text(pickle, key);
    put_text(pickle, "cpu");
    pickle_put_integer(pickle, (int64_t)n_elements);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_BINPERSID);
}

static void put_numbers(struct pickle_writer *pickle, const uint64_t *numbers, unsigned n)
{
    pickle_put_opcode(pickle, OP_MARK);
    for (unsigned i = 0; i < n; i++)
        pickle_put_integer(pickle, (int64_t)numbers[i]);
    pickle_put_opcode(pickle, OP_TUPLE);
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks) */
static void put_tensor(struct pickle_writer *pickle, size_t i, const struct tensor *tensor)
{
    uint64_t strides[TENSOR_MAX_DIMS], stride = 1;
    for (unsigned d = tensor->n_dims; d > 0; d--) {
        strides[d - 1] = stride;
        stride *= tensor->sizes[d - 1];
    }
    pickle_put_text(pickle, tensor->name);
    pickle_put_name(pickle, "torch._utils", "_rebuild_tensor_v2");
    pickle_put_opcode(pickle, OP_MARK);
    put_storage(pickle, i, tensor->n_elements);
    pickle_put_integer(pickle, 0);
    put_numbers(pickle, tensor->sizes, tensor->n_dims);
    put_numbers(pickle, strides, tensor->n_dims);
    pickle_put_opcode(pickle, OP_NEWFALSE);
    put_empty_ordered_dict(pickle);
    pickle_put_opcode(pickle, OP_TUPLE);
    pickle_put_opcode(pickle, OP_REDUCE);
}

static int write_pickle(FILE *stream, const struct tensor_list *list, struct format_error *error)
{
    struct pickle_writer pickle;
    pickle_writer_start(&pickle, stream, 2);
    put_empty_ordered_dict(&pickle);
    pickle_put_opcode(&pickle, OP_MARK);
    for (size_t i = 0; i < list->n_tensors; i++)
        put_tensor(&pickle, i, &list->tensors[i]);
    pickle_put_opcode(&pickle, OP_SETITEMS);
    return pickle_writer_end(&pickle, error);
}

/* data.pkl in memory, to be freed. NULL: out of memory, *error. */
static char *make_pickle(const struct tensor_list *list, size_t *ret_size,
                         struct format_error *error)
{
    char *bytes = NULL;
    FILE *stream = open_memstream(&bytes, ret_size);
    int status = stream ? write_pickle(stream, list, error) : -1;
    if (stream && fclose(stream) != 0)
        status = -1;
    if (status == 0)
        return bytes;
    format_error_memory(error); /* a stream in memory fails for no other reason */
    free(bytes);
    return NULL;
}

static void add_text(struct zip_writer *zip, const char *name, const char *text)
{
    zip_writer_add(zip, text_of(name), text, strlen(text));
}

int torch_write(FILE *stream, const struct tensor_list *list, struct format_error *error)
{
    size_t size;
    char *pickle = make_pickle(list, &size, error);
    if (pickle == NULL)
        return -1;
    struct zip_writer zip;
    zip_writer_start(&zip, stream);
    zip_writer_add(&zip, text_of(FOLDER "data.pkl"), pickle, size);
    free(pickle);
    add_text(&zip, FOLDER ".format_version", "1");
    add_text(&zip, FOLDER ".storage_alignment", "64");
    add_text(&zip, FOLDER "byteorder", "little");
    for (size_t i = 0; i < list->n_tensors; i++) {
        char name[NAME_MAX_LENGTH];
        snprintf(name, sizeof name, FOLDER "data/%zu", i);
        const struct tensor *tensor = &list->tensors[i];
        zip_writer_add(&zip, text_of(name), tensor->data, tensor->n_elements * sizeof(float));
    }
    add_text(&zip, FOLDER "version", "3\n");
    return zip_writer_end(&zip, error);
}
