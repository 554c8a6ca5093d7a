/* SPDX-License-Identifier: Apache-2.0 */
#include "encode/steps.h"

#include <math.h>

#include "number.h"

/* The number of edges that are <= value, or < value. */
static double bucket_of(const struct spec_step *step, double value)
{
    const bool is_open = step->b == 1;
    uint32_t first = 0,
             end = step->n_edges; /* edges before `first` count, those from `end` do not */
    if (isnan(value))
        return value;
    while (first < end) {
        const uint32_t middle = first + (end - first) / 2;
        const double edge = step->edges[middle];
        if (is_open ? edge < value : edge <= value)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static double signed_log(double value)
{
    const double log_of_size = log(fabs(value) + 1);
    return value < 0 ? -log_of_size : log_of_size;
}

static double squared_log(double value)
{
    if (!(value > 2))
        return value - 2;
    const double log_of_value = log(value);
    return trunc(log_of_value * log_of_value);
}

static double clip(double value, double least, double most)
{
    if (value < least)
        return least;
    return value > most ? most : value;
}

static double run_step(const struct spec_step *step, double value)
{
    switch (step->kind) {
    case STEP_FILL:
        return isnan(value) ? step->a : value;
    case STEP_IS_MISSING:
        return isnan(value) ? 1 : 0;
    case STEP_ADD:
        return value + step->a;
    case STEP_SUBTRACT:
        return value - step->a;
    case STEP_MULTIPLY:
        return value * step->a;
    case STEP_DIVIDE:
        return value / step->a;
    case STEP_CLIP:
        return clip(value, step->a, step->b);
    case STEP_LOG:
        return step->a == 1 ? log1p(value) : log(value + step->a);
    case STEP_SIGNED_LOG:
        return signed_log(value);
    case STEP_TRUNCATE:
        return trunc(value);
    case STEP_SQUARED_LOG:
        return squared_log(value);
    case STEP_BUCKET:
        return bucket_of(step, value);
    case STEP_FLOAT32:
        return (double)(float)value;
    case STEP_N_KINDS:
        break;
    }
    return (double)NAN;
}

double steps_run(const struct spec_step *steps, uint32_t n_steps, double value)
{
    for (uint32_t i = 0; i < n_steps; i++)
        value = run_step(&steps[i], value);
    return value;
}

bool number_of_cell(const struct cell *cell, enum cell_rules rules, double *ret_value)
{
    switch ((enum cell_kind)cell->kind) {
    case CELL_MISSING:
        *ret_value = (double)NAN;
        return true;
    case CELL_BOOL:
        *ret_value = cell->boolean;
        return true;
    case CELL_INTEGER:
        *ret_value = number_parse(cell->text, cell->length);
        return true;
    case CELL_FLOAT:
        *ret_value = cell->number;
        return true;
    case CELL_TEXT:
        if (cell->length == 0 && rules == CELLS_AS_WRITTEN) {
            *ret_value = (double)NAN;
            return true;
        }
        return number_parse_python(cell->text, cell->length, ret_value) && isfinite(*ret_value);
    case CELL_LIST:
        break;
    }
    return false;
}
