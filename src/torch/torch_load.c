/* SPDX-License-Identifier: Apache-2.0 */
#include "torch/torch_load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "dcnv2_torch.so";

/* The folder of this program, without a slash at its end; "." if the kernel does not tell. */
static void program_folder(char folder[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    else
        strcpy(folder, ".");
}

/* The path to load; -1: there is no such file. */
static int find_plugin(char path[PATH_MAX + 32], struct train_error *error)
{
    const char *named = getenv("DCNV2_TORCH_PLUGIN");
    if (named && *named) {
        /* With a slash, or dlopen would search the system's libraries for it. */
        snprintf(path, PATH_MAX + 32, "%s%s", strchr(named, '/') ? "" : "./", named);
        if (access(path, R_OK) == 0)
            return 0;
        return train_error_set(error, "cannot read the libtorch plugin %s of DCNV2_TORCH_PLUGIN",
                               named);
    }
    char folder[PATH_MAX];
    program_folder(folder);
    static const char *const places[] = {"/../lib/", "/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, PATH_MAX + 32, "%s%s%s", folder, places[i], file_name);
        if (access(path, R_OK) == 0)
            return 0;
    }
    return train_error_set(error,
                           "several ranks and the torch backend need the libtorch plugin: `make "
                           "torch` builds it (looked for %s in %.200s/../lib and %.200s; "
                           "DCNV2_TORCH_PLUGIN may name it)",
                           file_name, folder, folder);
}

static int load_error(const char *path, const char *reason, struct train_error *error)
{
    return train_error_set(error, "cannot load the libtorch plugin %.200s: %s", path, reason);
}

static int load_plugin(const char *path, const struct torch_plugin **ret_plugin,
                       struct train_error *error)
{
    /* c10d tells stderr of every attempt to connect; its errors come back as messages. */
    setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
    setenv("GLOG_minloglevel", "3", 0);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return load_error(path, dlerror(), error);
    const struct torch_plugin *(*get)(void);
    *(void **)&get = dlsym(library, "dcnv2_torch_plugin");
    if (get == NULL)
        return load_error(path, "it has no dcnv2_torch_plugin", error);
    const struct torch_plugin *plugin = get();
    if (plugin->version != TORCH_PLUGIN_VERSION) {
        char reason[100];
        snprintf(reason, sizeof reason,
                 "it has version %u, this program needs version %u; `make "
                 "torch` builds it",
                 plugin->version, (unsigned)TORCH_PLUGIN_VERSION);
        return load_error(path, reason, error);
    }
    *ret_plugin = plugin;
    return 0;
}

const struct torch_plugin *torch_load(struct train_error *error)
{
    static const struct torch_plugin *plugin;
    char path[PATH_MAX + 32];
    if (plugin == NULL && find_plugin(path, error) == 0)
        (void)load_plugin(path, &plugin, error);
    return plugin;
}
