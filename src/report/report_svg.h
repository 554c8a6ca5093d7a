/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_svg.h: a plot as inline SVG: axes, ticks, labels, and what is drawn between them.
 *
 * Colours are the page's: an element of series k has the class s{k}; the frame, the grid and
 * texts have classes as well (report_html.c has the style). What is not finite is left out.
 */
#ifndef DCNV2_REPORT_REPORT_SVG_H
#define DCNV2_REPORT_REPORT_SVG_H

#include <stddef.h>
#include <stdio.h>

enum svg_unit { SVG_NUMBER, SVG_COUNT, SVG_PERCENT /* of a value that is a part of 1 */ };

struct svg_point {
    double x, y;
};

/* The values that an axis is to hold; starts as SVG_NO_RANGE. */
struct svg_range {
    double low, high;
};

#define SVG_NO_RANGE ((struct svg_range){HUGE_VAL, -HUGE_VAL})

void svg_range_add(struct svg_range *range, double value);

struct svg_axis {
    double low, high;
    double step; /* each tick is a multiple, and so is low */
    enum svg_unit unit;
    const char *label;
};

/* From one tick to another, around the range. Without a range: 0 to 1. */
struct svg_axis svg_axis_around(struct svg_range range, enum svg_unit unit, const char *label);

/* From a tick to the range's very end. */
struct svg_axis svg_axis_to_end(struct svg_range range, enum svg_unit unit, const char *label);

struct svg_plot {
    FILE *out;
    struct svg_axis x, y;
};

/* `description`: what the plot shows, for those who do not see it. */
void svg_begin(const struct svg_plot *plot, const char *description);
void svg_end(const struct svg_plot *plot);

void svg_line(const struct svg_plot *plot, unsigned series, const struct svg_point *points,
              size_t n);

/* Each tells its values when pointed at. */
void svg_dots(const struct svg_plot *plot, unsigned series, const struct svg_point *points,
              size_t n);

/* From the lowest y up; tells its value. */
void svg_bar(const struct svg_plot *plot, unsigned series, double left, double right, double y);

/* A thin line upright, of a series: where a value may as well be. */
void svg_whisker(const struct svg_plot *plot, unsigned series, double x, double low, double high);

/* A dashed line of no series. `label` stands at its upper end; may be NULL. */
void svg_guide(const struct svg_plot *plot, struct svg_point from, struct svg_point to,
               const char *label);

#endif
