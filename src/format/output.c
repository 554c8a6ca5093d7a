/* SPDX-License-Identifier: Apache-2.0 */
#include "format/output.h"

#include <errno.h>
#include <string.h>

void output_put(struct output *output, const void *bytes, size_t size)
{
    output->offset += size;
    if (output->error_number || size == 0)
        return;
    errno = 0;
    if (fwrite(bytes, 1, size, output->stream) != size)
        output->error_number = errno ? errno : EIO;
}

int output_flush(struct output *output, struct format_error *error)
{
    errno = 0;
    if (output->error_number == 0 && fflush(output->stream) != 0)
        output->error_number = errno ? errno : EIO;
    if (output->error_number == 0)
        return 0;
    return format_error_set(error, FORMAT_NO_OFFSET, "cannot be written: %s",
                            strerror(output->error_number));
}
