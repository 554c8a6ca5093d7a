/* SPDX-License-Identifier: Apache-2.0 */
/* fuxictr.c: a whole folder of FuxiCTR. */
#include "network/fuxictr_reading.h"

int fuxictr_name_file(struct fuxictr_reading *reading, const char *file)
{
    const struct format_error found = *reading->error;
    return found.out_of_memory ? -1 : FUXICTR_FAIL(reading, "%s: %s", file, found.message);
}

static int read_processor(struct fuxictr_reading *reading)
{
    const struct text bytes = reading->source->processor;
    if (fuxictr_file_read(&reading->processor, reading->classes, (const uint8_t *)bytes.at,
                          bytes.length, reading->error) != 0)
        return fuxictr_name_file(reading, FUXICTR_PROCESSOR);
    return 0;
}

static int read_all(struct fuxictr_reading *reading)
{
    uint32_t x0;
    if (maker_begin(&reading->maker, SPEC_MAX_LAYERS) != 0)
        return format_error_memory(reading->error);
    if (fuxictr_read_config(reading) != 0 || read_processor(reading) != 0 ||
        fuxictr_read_features(reading) != 0 || fuxictr_add_columns(reading) != 0 ||
        fuxictr_add_inputs(reading, &x0) != 0 || fuxictr_add_network(reading, x0) != 0)
        return -1;
    if (reading->maker.is_short)
        return format_error_memory(reading->error);
    if (reading->maker.is_full)
        return FUXICTR_FAIL(reading, "the network has more than %d layers", SPEC_MAX_LAYERS);
    if (reading->assumes_activation)
        reading->assumptions[reading->n_assumptions++] =
            text_of("the activation of the deep layers is ReLU, FuxiCTR's default");
    reading->maker.spec->assumptions = reading->assumptions;
    reading->maker.spec->n_assumptions = reading->n_assumptions;
    return 0;
}

int fuxictr_read(struct network_spec *spec, struct spec_vocabularies *vocabularies,
                 struct arena *arena, struct arena *classes, const struct fuxictr_source *source,
                 struct format_error *error)
{
    struct fuxictr_reading reading = {.maker = {.spec = spec, .arena = arena},
                                      .vocabularies = vocabularies,
                                      .classes = classes,
                                      .error = error,
                                      .source = source};
    *spec = (struct network_spec){.source = text_of("FuxiCTR's files")};
    *vocabularies = (struct spec_vocabularies){0};
    arena_init(&reading.nodes, SIZE_MAX);
    const int status = read_all(&reading);
    arena_free(&reading.nodes);
    return status;
}
