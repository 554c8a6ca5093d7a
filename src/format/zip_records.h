/* SPDX-License-Identifier: Apache-2.0 */
/* zip_records.h: the records of a zip archive that its reader and its writer know: APPNOTE 4.3. */
#ifndef DCNV2_FORMAT_ZIP_RECORDS_H
#define DCNV2_FORMAT_ZIP_RECORDS_H

enum {
    /* bytes without their variable parts */
    ZIP_LOCAL_SIZE = 30,
    ZIP_CENTRAL_SIZE = 46,
    ZIP_END_SIZE = 22,
    ZIP_END64_SIZE = 56,
    ZIP_LOCATOR64_SIZE = 20,

    ZIP_LOCAL_SIGNATURE = 0x04034b50,
    ZIP_CENTRAL_SIGNATURE = 0x02014b50,
    ZIP_END_SIGNATURE = 0x06054b50,
    ZIP_END64_SIGNATURE = 0x06064b50,
    ZIP_LOCATOR64_SIGNATURE = 0x07064b50,
    ZIP_DESCRIPTOR_SIGNATURE = 0x08074b50,

    ZIP_FLAG_ENCRYPTED = 1 << 0,
    ZIP_FLAG_DESCRIPTOR = 1 << 3, /* checksum and sizes stand behind the data, zeros before */
    ZIP_FLAG_UTF8 = 1 << 11,

    ZIP_EXTRA_64 = 1 /* the extra field of what 32 bits are too few for */
};

#endif
