/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torch_search.c: which dict of tensors in a checkpoint is the network's.
 *
 * A state dict is a dict with names for keys and nothing but tensors for values. Where a file
 * holds one, it is that; an optimizer's ("state" and "param_groups") are not looked into.
 */
#include <stdio.h>

#include "format/torch_reader.h"

enum { DEPTH_MAX = 8, FOUND_MAX = 8, ITEMS_MAX = 1 << 22, LISTED_MAX = 240 };

struct candidate {
    const struct pickle_value *value;
    struct text path; /* "model", "ema.module"; empty: the file's own object */
};

/* A walk over what the file holds: values may be shared, and lead back to themselves. */
struct search {
    struct torch_reader *torch;
    struct candidate found[FOUND_MAX];
    unsigned n_found;
    uint32_t n_items;                  /* looked at */
    const struct pickle_value *module; /* a whole model; NULL: none was seen */
};

static bool is_state_dict(const struct pickle_value *value)
{
    uint32_t n, n_tensors = 0;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    for (uint32_t i = 0; pairs && i < n; i++) {
        const bool is_tensor = torch_is_tensor(pairs[2 * i + 1]);
        if (pairs[2 * i]->kind != PICKLE_TEXT ||
            (!is_tensor && pairs[2 * i + 1]->kind != PICKLE_NONE))
            return false;
        n_tensors += is_tensor;
    }
    return n_tensors > 0;
}

static bool is_optimizer(const struct pickle_value *value)
{
    return pickle_get(value, "state") && pickle_get(value, "param_groups");
}

/* Where the walk is: a name in the container before it, which is NULL for the file's own object. */
struct place {
    const struct place *before;
    struct text name;
};

/* "model", "ema.module"; at NULL: no memory. */
static struct text path_of(struct search *search, const struct place *place)
{
    size_t length = 0;
    for (const struct place *at = place; at; at = at->before)
        length += at->name.length + (at->before != NULL);
    char *path = arena_alloc(search->torch->arena, length + 1);
    if (path == NULL) {
        format_error_memory(search->torch->error);
        return (struct text){NULL, 0};
    }
    char *end = path + length;
    for (const struct place *at = place; at; at = at->before) {
        end -= at->name.length;
        if (at->name.length)
            memcpy(end, at->name.at, at->name.length);
        if (at->before)
            *--end = '.';
    }
    return (struct text){path, length};
}

static int add(struct search *search, const struct pickle_value *value, const struct place *place)
{
    for (unsigned i = 0; i < search->n_found; i++)
        if (search->found[i].value == value)
            return 0; /* under two names */
    if (search->n_found == FOUND_MAX)
        return 0;
    const struct text path = path_of(search, place);
    search->found[search->n_found++] = (struct candidate){value, path};
    return path.at ? 0 : -1;
}

static int look_at(struct search *search, const struct pickle_value *value,
                   const struct place *place, unsigned depth);

static int look_at_item(struct search *search, const struct pickle_value *item,
                        const struct place *before, struct text name, unsigned depth)
{
    const struct place place = {before, name};
    if (++search->n_items > ITEMS_MAX)
        return format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                                "holds too many values to find its tensors among them");
    return depth == DEPTH_MAX ? 0 : look_at(search, item, &place, depth + 1);
}

static int look_into_list(struct search *search, const struct pickle_value *list,
                          const struct place *place, unsigned depth)
{
    for (uint32_t i = 0; i < list->n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        if (look_at_item(search, list->items[i], place, text_of(number), depth) != 0)
            return -1;
    }
    return 0;
}

static int look_at(struct search *search, const struct pickle_value *value,
                   const struct place *place, unsigned depth)
{
    uint32_t n = 0;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    search->n_items += n; /* which is_state_dict() looks at */
    if (torch_is_module(value)) {
        search->module = value;
        return search->torch->choice->allow_whole_model ? add(search, value, place) : 0;
    }
    if (is_state_dict(value))
        return add(search, value, place);
    if (value->kind == PICKLE_LIST || value->kind == PICKLE_TUPLE)
        return look_into_list(search, value, place, depth);
    if (pairs == NULL || is_optimizer(value))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        if (pairs[2 * i]->kind == PICKLE_TEXT &&
            look_at_item(search, pairs[2 * i + 1], place, pairs[2 * i]->text, depth) != 0)
            return -1;
    return 0;
}

/* ---- the choice */

/* The names of what was found, for messages: "model", "ema". */
static void list_found(const struct search *search, char out[LISTED_MAX])
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < search->n_found && n < LISTED_MAX; i++)
        n += (size_t)snprintf(out + n, LISTED_MAX - n, "%s\"%.*s\"", i ? ", " : "",
                              TEXT_SHOWN(search->found[i].path));
}

static const struct pickle_value *choose(const struct search *search)
{
    const char *key = search->torch->choice->key;
    char listed[LISTED_MAX];
    for (unsigned i = 0; key && i < search->n_found; i++)
        if (text_is(search->found[i].path, key))
            return search->found[i].value;
    if (key == NULL && search->n_found == 1)
        return search->found[0].value;
    list_found(search, listed);
    if (key && search->n_found == 1 && search->found[0].path.length == 0)
        format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                         "is a state dict itself: --state-dict-key=%.60s has no place in it", key);
    else if (key)
        format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                         "has no state dict \"%.60s\"; it holds %s", key, listed);
    else
        format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                         "holds %u state dicts, %s: --state-dict-key or STATE_DICT_KEY says which",
                         search->n_found, listed);
    return NULL;
}

/* Tensors among other things are a state dict as well, if there is no better one. */
static bool has_tensors(const struct pickle_value *value)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(value, &n);
    for (uint32_t i = 0; pairs && i < n; i++)
        if (torch_is_tensor(pairs[2 * i + 1]))
            return true;
    return false;
}

/* Nothing in it is a tensor: says what the first value is. */
static void refuse(const struct search *search, const struct pickle_value *root)
{
    uint32_t n;
    struct pickle_value **pairs = pickle_pairs(root, &n);
    if (pairs && pairs[0]->kind == PICKLE_TEXT)
        format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                         "holds no tensors: \"%.*s\" is %s; a state dict is expected: "
                         "torch.save(model.state_dict(), ..)",
                         TEXT_SHOWN(pairs[0]->text), pickle_describe(pairs[1]));
    else
        format_error_set(search->torch->error, FORMAT_NO_OFFSET,
                         "holds %s, not a state dict: torch.save(model.state_dict(), ..)",
                         pickle_describe(root));
}

const struct pickle_value *torch_search(struct torch_reader *torch, const struct pickle_value *root)
{
    struct search search = {.torch = torch};
    if (look_at(&search, root, NULL, 0) != 0)
        return NULL;
    if (search.n_found > 0)
        return choose(&search);
    uint32_t n;
    if (has_tensors(root) || (pickle_pairs(root, &n) && n == 0))
        return root;
    if (search.module)
        format_error_set(torch->error, FORMAT_NO_OFFSET,
                         "holds a whole model (%s), not its state dict; write that: "
                         "torch.save(model.state_dict(), \"model_weights.pth\")",
                         pickle_describe(search.module));
    else
        refuse(&search, root);
    return NULL;
}
