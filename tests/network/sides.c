/* SPDX-License-Identifier: Apache-2.0 */
#include "sides.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char device[] = "tun0";

static int fail(const char *step)
{
    fprintf(stderr, "shuttle: %s: %s\n", step, strerror(errno));
    return -1;
}

static struct ifreq request_for(const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    return request;
}

static int open_tun(void)
{
    struct ifreq request = request_for(device);
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail("open /dev/net/tun");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    return ioctl(fd, TUNSETIFF, &request) == 0 ? fd : fail("make a TUN device");
}

static int set_address(int control, unsigned long what, const char *address)
{
    struct ifreq request = request_for(device);
    struct sockaddr_in in = {.sin_family = AF_INET};
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.ifr_addr, &in, sizeof in);
    return ioctl(control, what, &request) == 0 ? 0 : fail("set an address");
}

static int set_up(int control, const char *name)
{
    struct ifreq request = request_for(name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(control, SIOCSIFFLAGS, &request) == 0 ? 0 : fail("set a device up");
}

/* A device's own queue loses nothing, whatever comes at once while the shuttle has no CPU. */
static int set_queue(int control)
{
    enum { QUEUE_PACKETS = 1 << 16 };
    struct ifreq request = request_for(device);
    request.ifr_qlen = QUEUE_PACKETS;
    return ioctl(control, SIOCSIFTXQLEN, &request) == 0 ? 0 : fail("set the device's queue");
}

static int configure(const char *address, int mtu)
{
    struct ifreq request = request_for(device);
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0)
        return fail("make a socket");
    request.ifr_mtu = mtu;
    int status = ioctl(control, SIOCSIFMTU, &request) == 0 ? 0 : fail("set the MTU");
    if (status == 0)
        status = set_queue(control);
    if (status == 0)
        status = set_up(control, "lo");
    if (status == 0)
        status = set_up(control, device);
    if (status == 0)
        status = set_address(control, SIOCSIFADDR, address);
    if (status == 0)
        status = set_address(control, SIOCSIFNETMASK, "255.255.255.0");
    close(control);
    return status;
}

/* Settings of TCP belong to a namespace: those of the machine stay as they are. */
static int limit_buffers(const char *path, int bytes)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return fail(path);
    const int n = fprintf(file, "%d %d %d\n", bytes < 4096 ? bytes : 4096, bytes, bytes);
    return fclose(file) == 0 && n > 0 ? 0 : fail(path);
}

int side_enter_new(struct side *side, const char *address, int mtu, int buffer_bytes)
{
    if (unshare(CLONE_NEWNET) != 0)
        return fail("make a network namespace");
    side->namespace_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    side->tun_fd = open_tun();
    if (side->namespace_fd < 0 || side->tun_fd < 0 || configure(address, mtu) != 0)
        return -1;
    if (buffer_bytes == 0)
        return 0;
    return limit_buffers("/proc/sys/net/ipv4/tcp_wmem", buffer_bytes) == 0
               ? limit_buffers("/proc/sys/net/ipv4/tcp_rmem", buffer_bytes)
               : -1;
}
