/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_module.c: the tensors of a whole model, torch.save(model), as its state_dict() names them.
 *
 * Its classes are not known here, and need not be: each module of PyTorch has a dict of its
 * parameters, one of its buffers, and one of the modules in it.
 */
#include "format/torch_reader.h"

enum { DEPTH_MAX = 32, ITEMS_MAX = 1000000, LEFT_OUT_MAX = 1000 };

/* A walk over the modules: they may be shared, and lead back to themselves. */
struct walk {
    struct torch_reader *torch;
    struct tensor_list *list; /* tensors NULL: they are counted */
    size_t n_items;           /* modules and what they hold */
};

static const struct pickle_value *attribute(const struct pickle_value *module, const char *name)
{
    return pickle_is_unknown_record(module) && module->record.state &&
                   module->record.state->kind == PICKLE_DICT
               ? pickle_get(module->record.state, name)
               : NULL;
}

bool torch_is_module(const struct pickle_value *value)
{
    return attribute(value, "_parameters") && attribute(value, "_modules");
}

/* "PREFIX NAME" or "PREFIX NAME."; at NULL: no memory. */
static struct text join(struct walk *walk, struct text prefix, struct text name, bool with_point)
{
    const size_t length = prefix.length + name.length;
    char *full = arena_alloc(walk->torch->arena, length + 1);
    if (full == NULL) {
        format_error_memory(walk->torch->error);
        return (struct text){NULL, 0};
    }
    if (prefix.length)
        memcpy(full, prefix.at, prefix.length);
    if (name.length)
        memcpy(full + prefix.length, name.at, name.length);
    full[length] = '.';
    return (struct text){full, length + with_point};
}

/* Whether a set, as protocols 2 and 4 write it, has the text. */
static bool set_has(const struct pickle_value *set, struct text text)
{
    if (set && pickle_is_unknown_record(set) && set->record.arguments &&
        set->record.arguments->n == 1)
        set = set->record.arguments->items[0];
    if (set == NULL || (set->kind != PICKLE_LIST && set->kind != PICKLE_TEXTS))
        return false;
    for (uint32_t i = 0; i < set->n && i < LEFT_OUT_MAX; i++) {
        const bool is_text = set->kind == PICKLE_TEXTS || set->items[i]->kind == PICKLE_TEXT;
        if (is_text && text_equal(pickle_text_of(set, i), text))
            return true;
    }
    return false;
}

/* The tensors of one of a module's dicts, but those that its state_dict() leaves out. */
static int add_tensors(struct walk *walk, const struct pickle_value *dict,
                       const struct pickle_value *left_out, struct text prefix)
{
    uint32_t n = 0;
    struct pickle_value **pairs = dict ? pickle_pairs(dict, &n) : NULL;
    walk->n_items += n;
    for (uint32_t i = 0; pairs && i < n; i++) {
        const struct pickle_value *name = pairs[2 * i], *value = pairs[2 * i + 1];
        if (name->kind != PICKLE_TEXT || value->kind == PICKLE_NONE ||
            tensor_name_is_counter(name->text) || set_has(left_out, name->text))
            continue;
        if (walk->list->tensors == NULL) {
            walk->list->n_tensors++;
            continue;
        }
        struct tensor *tensor = &walk->list->tensors[walk->list->n_tensors++];
        tensor->name = join(walk, prefix, name->text, false);
        if (tensor->name.at == NULL || torch_read_tensor(walk->torch, tensor, value) != 0)
            return -1;
    }
    return 0;
}

/* Parameters, buffers, then the modules in it. */
static int walk_module(struct walk *walk, const struct pickle_value *module, struct text prefix,
                       unsigned depth)
{
    const struct pickle_value *modules = attribute(module, "_modules");
    uint32_t n;
    if (depth == DEPTH_MAX || ++walk->n_items > ITEMS_MAX)
        return format_error_set(walk->torch->error, FORMAT_NO_OFFSET,
                                "holds a model whose modules lead back to themselves");
    if (add_tensors(walk, attribute(module, "_parameters"), NULL, prefix) != 0 ||
        add_tensors(walk, attribute(module, "_buffers"),
                    attribute(module, "_non_persistent_buffers_set"), prefix) != 0)
        return -1;
    struct pickle_value **pairs = modules ? pickle_pairs(modules, &n) : NULL;
    for (uint32_t i = 0; pairs && i < n; i++) {
        if (pairs[2 * i]->kind != PICKLE_TEXT || !torch_is_module(pairs[2 * i + 1]))
            continue; /* None: a module that was taken out */
        const struct text inner = join(walk, prefix, pairs[2 * i]->text, true);
        if (inner.at == NULL || walk_module(walk, pairs[2 * i + 1], inner, depth + 1) != 0)
            return -1;
    }
    return 0;
}

int torch_read_module(struct torch_reader *torch, struct tensor_list *list,
                      const struct pickle_value *module)
{
    struct walk walk = {torch, list, 0};
    const struct text prefix = {"", 0};
    if (walk_module(&walk, module, prefix, 0) != 0)
        return -1;
    list->tensors = arena_calloc(torch->arena, list->n_tensors + 1, sizeof *list->tensors);
    if (list->tensors == NULL)
        return format_error_memory(torch->error);
    list->n_tensors = 0;
    walk.n_items = 0;
    return walk_module(&walk, module, prefix, 0);
}
