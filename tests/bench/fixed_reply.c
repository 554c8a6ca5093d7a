/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixed_reply.c: the least that a server on libmicrohttpd can do: it takes a body, parses
 * nothing and sends one fixed reply. What dcnv2-server is measured against.
 *
 * usage: fixed_reply PORT REPLY-FILE       ends with its standard input
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct MHD_Response *reply;

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_data_size, void **context)
{
    static int seen;
    (void)cls, (void)url, (void)method, (void)version, (void)upload_data;
    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_data_size) {
        *upload_data_size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, reply);
}

int main(int argc, char **argv)
{
    static char body[1 << 20];
    if (argc != 3) {
        fprintf(stderr, "usage: fixed_reply PORT REPLY-FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (file == NULL) {
        perror(argv[2]);
        return 1;
    }
    const size_t length = fread(body, 1, sizeof body, file);
    fclose(file);
    reply = MHD_create_response_from_buffer(length, body, MHD_RESPMEM_PERSISTENT);
    if (reply == NULL)
        return 1;
    MHD_add_response_header(reply, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, (uint16_t)atoi(argv[1]), NULL, NULL,
                         on_request, NULL, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "fixed_reply: cannot listen on port %s\n", argv[1]);
        return 1;
    }
    char unused;
    while (read(STDIN_FILENO, &unused, 1) > 0)
        ;
    MHD_stop_daemon(daemon);
    MHD_destroy_response(reply);
    return 0;
}
