/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report_svg.h"

#include <math.h>
#include <stdbool.h>

/* In units that are nearly a pixel on a phone. */
enum {
    WIDTH = 440,
    HEIGHT = 270,
    LEFT = 50,
    RIGHT = 424,
    TOP = 30,
    BOTTOM = 226,
    MOST_STEPS = 6,
    TICK_GAP = 6,
    DOT = 3
};

/* ---- axes ---- */

void svg_range_add(struct svg_range *range, double value)
{
    if (!isfinite(value))
        return;
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

/* The least of 1, 2 and 5 times a power of ten that is not below. */
static double round_step(double step)
{
    const double power = pow(10, floor(log10(step)));
    const double factors[] = {1, 2, 5};
    for (unsigned i = 0; i < 3; i++)
        if (factors[i] * power >= step * (1 - 1e-9))
            return factors[i] * power;
    return 10 * power;
}

struct svg_axis svg_axis_around(struct svg_range range, enum svg_unit unit, const char *label)
{
    double low = range.low, high = range.high;
    if (!(low <= high)) {
        low = 0;
        high = 1;
    }
    /* Less than a hundredth apart is the same to the eye, and would need long labels. */
    const double least = fmax(fmax(fabs(low), fabs(high)) * 0.01, 1e-3);
    if (high - low < least) {
        const double middle = low + (high - low) / 2;
        low = middle - least / 2;
        high = middle + least / 2;
    }
    double step = round_step((high - low) / MOST_STEPS);
    if (unit == SVG_COUNT && step < 1)
        step = 1;
    return (struct svg_axis){floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, step,
                             unit, label};
}

struct svg_axis svg_axis_to_end(struct svg_range range, enum svg_unit unit, const char *label)
{
    struct svg_axis axis = svg_axis_around(range, unit, label);
    if (range.high > axis.low)
        axis.high = range.high;
    return axis;
}

static unsigned axis_n_steps(const struct svg_axis *axis)
{
    return (unsigned)floor((axis->high - axis->low) / axis->step + 1e-9);
}

/* A multiple of the step, not a sum of steps: zero is zero. */
static double axis_tick(const struct svg_axis *axis, unsigned i)
{
    return (round(axis->low / axis->step) + i) * axis->step + 0.0;
}

/* With as many decimals as its ticks need, and `more`. */
static void put_value(FILE *out, const struct svg_axis *axis, double value, int more)
{
    const char *suffix = "";
    double unit = 1;
    if (axis->unit == SVG_PERCENT) {
        unit = 0.01;
        suffix = "%";
    } else if (axis->unit == SVG_COUNT && value > 0 && !more && axis->high >= 1e6) {
        unit = 1e6;
        suffix = "M";
    } else if (axis->unit == SVG_COUNT && value > 0 && !more && axis->high >= 1e4) {
        unit = 1e3;
        suffix = "k";
    }
    int n_decimals = (int)ceil(-log10(axis->step / unit) - 1e-9);
    if (n_decimals < 0)
        n_decimals = 0;
    if (axis->unit != SVG_COUNT)
        n_decimals += more;
    fprintf(out, "%.*f%s", n_decimals, value / unit, suffix);
}

static double place_x(const struct svg_plot *plot, double x)
{
    return LEFT + (x - plot->x.low) / (plot->x.high - plot->x.low) * (RIGHT - LEFT);
}

static double place_y(const struct svg_plot *plot, double y)
{
    return BOTTOM - (y - plot->y.low) / (plot->y.high - plot->y.low) * (BOTTOM - TOP);
}

static void put_axes(const struct svg_plot *plot)
{
    for (unsigned i = 0; i <= axis_n_steps(&plot->y); i++) {
        const double value = axis_tick(&plot->y, i), y = place_y(plot, value);
        fprintf(plot->out,
                "<path class=\"%s\" d=\"M%d %.1fH%d\"/>"
                "<text class=\"tick end\" x=\"%d\" y=\"%.1f\">",
                i ? "grid" : "axis", LEFT, y, RIGHT, LEFT - TICK_GAP, y + 4);
        put_value(plot->out, &plot->y, value, 0);
        fputs("</text>\n", plot->out);
    }
    for (unsigned i = 0; i <= axis_n_steps(&plot->x); i++) {
        const double value = axis_tick(&plot->x, i), x = place_x(plot, value);
        fprintf(plot->out,
                "<path class=\"axis\" d=\"M%.1f %dv4\"/>"
                "<text class=\"tick middle\" x=\"%.1f\" y=\"%d\">",
                x, BOTTOM, x, BOTTOM + 18);
        put_value(plot->out, &plot->x, value, 0);
        fputs("</text>\n", plot->out);
    }
    fprintf(plot->out,
            "<text class=\"label\" x=\"4\" y=\"14\">%s</text>"
            "<text class=\"label end\" x=\"%d\" y=\"%d\">%s</text>\n",
            plot->y.label, RIGHT, BOTTOM + 37, plot->x.label);
}

void svg_begin(const struct svg_plot *plot, const char *description)
{
    fprintf(plot->out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH,
            HEIGHT, description);
    put_axes(plot);
}

void svg_end(const struct svg_plot *plot)
{
    fputs("</svg>\n", plot->out);
}

/* ---- what is drawn ---- */

static bool is_shown(const struct svg_point *point)
{
    return isfinite(point->x) && isfinite(point->y);
}

void svg_line(const struct svg_plot *plot, unsigned series, const struct svg_point *points,
              size_t n)
{
    bool is_drawing = false;
    fprintf(plot->out, "<path class=\"line s%u\" d=\"", series);
    for (size_t i = 0; i < n; i++) {
        if (is_shown(&points[i]))
            fprintf(plot->out, "%c%.1f %.1f", is_drawing ? 'L' : 'M', place_x(plot, points[i].x),
                    place_y(plot, points[i].y));
        is_drawing = is_shown(&points[i]);
    }
    fputs("\"/>\n", plot->out);
}

static void put_title(const struct svg_plot *plot, double x, double y)
{
    fprintf(plot->out, "<title>%s ", plot->x.label);
    put_value(plot->out, &plot->x, x, 1);
    fprintf(plot->out, ": %s ", plot->y.label);
    put_value(plot->out, &plot->y, y, 2);
    fputs("</title>", plot->out);
}

void svg_dots(const struct svg_plot *plot, unsigned series, const struct svg_point *points,
              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_shown(&points[i]))
            continue;
        fprintf(plot->out, "<circle class=\"fill s%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\">", series,
                place_x(plot, points[i].x), place_y(plot, points[i].y), DOT);
        put_title(plot, points[i].x, points[i].y);
        fputs("</circle>\n", plot->out);
    }
}

void svg_bar(const struct svg_plot *plot, unsigned series, double left, double right, double y)
{
    const double from = place_x(plot, left), to = place_x(plot, right), top = place_y(plot, y);
    if (!isfinite(top))
        return;
    fprintf(plot->out,
            "<rect class=\"fill s%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
            series, from, top, to - from, BOTTOM - top);
    put_title(plot, left, y);
    fputs("</rect>\n", plot->out);
}

void svg_whisker(const struct svg_plot *plot, unsigned series, double x, double low, double high)
{
    if (isfinite(x) && isfinite(low) && isfinite(high))
        fprintf(plot->out, "<path class=\"whisker s%u\" d=\"M%.1f %.1fV%.1f\"/>\n", series,
                place_x(plot, x), place_y(plot, low), place_y(plot, high));
}

void svg_guide(const struct svg_plot *plot, struct svg_point from, struct svg_point to,
               const char *label)
{
    const double x = place_x(plot, to.x), y = place_y(plot, to.y);
    fprintf(plot->out, "<path class=\"guide\" d=\"M%.1f %.1fL%.1f %.1f\"/>", place_x(plot, from.x),
            place_y(plot, from.y), x, y);
    if (label)
        fprintf(plot->out, "<text class=\"tick %s\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                x > (LEFT + RIGHT) / 2.0 ? "end" : "start", x, y - 4, label);
    fputc('\n', plot->out);
}
