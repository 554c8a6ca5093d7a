/* SPDX-License-Identifier: Apache-2.0 */
#include "train/history.h"

#include <stdlib.h>

/* Room for one more element of `size` bytes. */
static int reserve(void **array, size_t n, size_t *capacity, size_t size, struct train_error *error)
{
    if (n < *capacity)
        return 0;
    const size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL)
        return train_error_memory(error);
    *array = grown;
    *capacity = wanted;
    return 0;
}

int history_add_loss(struct history *history, uint64_t step, double loss, struct train_error *error)
{
    if (reserve((void **)&history->losses, history->n_losses, &history->losses_capacity,
                sizeof *history->losses, error) != 0)
        return -1;
    history->losses[history->n_losses++] = (struct report_loss){step, loss};
    return 0;
}

int history_add_epoch(struct history *history, const struct report_epoch *epoch,
                      struct train_error *error)
{
    if (reserve((void **)&history->epochs, history->n_epochs, &history->epochs_capacity,
                sizeof *history->epochs, error) != 0)
        return -1;
    history->epochs[history->n_epochs++] = *epoch;
    return 0;
}

void history_free(struct history *history)
{
    free(history->losses);
    free(history->epochs);
    *history = (struct history){0};
}
