/* SPDX-License-Identifier: Apache-2.0 */
/* sides.h: a network namespace with one TUN device, whose packets a program reads and writes. */
#ifndef DCNV2_TESTS_NETWORK_SIDES_H
#define DCNV2_TESTS_NETWORK_SIDES_H

enum { MTU_LEAST = 128, MTU_MOST = 9000 };

struct side {
    int namespace_fd;
    int tun_fd; /* does not block; one packet per read or write */
};

/*
 * Moves this process into a new namespace with a TUN device of that address (10.x.y.z/24) and MTU.
 * `buffer_bytes`: the most that the kernel keeps for a socket in each direction; 0: its default.
 * -1: failed, and stderr says why.
 */
int side_enter_new(struct side *side, const char *address, int mtu, int buffer_bytes);

#endif
