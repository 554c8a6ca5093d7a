/* SPDX-License-Identifier: Apache-2.0 */
/* torch_shim.cpp: torch_plugin.h over libtorch 1.13 or later; no exception leaves it. */
#include "torch/torch_plugin.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gloo/context.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/version.h>

namespace
{

using at::Tensor;
using std::chrono::milliseconds;

/* A text after Gloo's "[file:line] ". */
const char *without_place(const char *text)
{
    const char *place_end = *text == '[' ? std::strstr(text, "] ") : nullptr;
    return place_end ? place_end + 2 : text;
}

/* The first line of a text, printable. */
void copy_line(char *message, const char *text)
{
    text = without_place(text);
    size_t length = 0;
    for (; text[length] && text[length] != '\n' && length + 1 < TORCH_MESSAGE_SIZE; length++)
        message[length] = text[length] >= ' ' ? text[length] : '?';
    message[length] = '\0';
}

/* Runs what may throw: 0, or -1 and the exception's text. */
template <typename Body> int guarded(char *message, Body body)
{
    try {
        body();
        return 0;
    } catch (const c10::Error &error) {
        copy_line(message, error.what_without_backtrace());
    } catch (const std::exception &error) {
        copy_line(message, error.what());
    } catch (...) {
        copy_line(message, "an exception that is none of C++'s own");
    }
    return -1;
}

/* ---- c10d */

/* Gloo gives the operations of a group the timeout that its contexts have. */
struct GlooGroup : c10d::ProcessGroupGloo {
    using ProcessGroupGloo::ProcessGroupGloo;
    void set_timeout(milliseconds timeout)
    {
        for (auto &context : contexts_)
            context->setTimeout(timeout);
    }
};

struct Group {
    c10::intrusive_ptr<c10d::TCPStore>
        store; /* rank 0's is the server: lives as long as the group */
    c10::intrusive_ptr<GlooGroup> gloo;
    uint32_t n_ranks;
};

struct Deadline {
    std::chrono::steady_clock::time_point end;
    explicit Deadline(milliseconds timeout) : end(std::chrono::steady_clock::now() + timeout)
    {
    }
    milliseconds left() const
    {
        const auto left = end - std::chrono::steady_clock::now();
        return std::max(std::chrono::duration_cast<milliseconds>(left), milliseconds(1));
    }
};

/*
 * The address of this machine from which rank 0 is reached: the others reach it there too. The
 * host's own name, Gloo's default, is 127.0.1.1 on many a Debian.
 */
std::string address_towards(const std::string &host, uint16_t port)
{
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_DGRAM;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
        return "";
    char text[NI_MAXHOST] = "";
    for (addrinfo *at = found; at && !*text; at = at->ai_next) {
        const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        sockaddr_storage own{};
        socklen_t size = sizeof own;
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
            getsockname(fd, reinterpret_cast<sockaddr *>(&own), &size) == 0)
            (void)getnameinfo(reinterpret_cast<sockaddr *>(&own), size, text, sizeof text, nullptr,
                              0, NI_NUMERICHOST);
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return text;
}

/* GLOO_SOCKET_IFNAME names the interface, as for torch.distributed. */
std::shared_ptr<gloo::transport::Device> gloo_device(const std::string &address, uint16_t port)
{
    const char *interface = getenv("GLOO_SOCKET_IFNAME");
    if (interface && *interface)
        return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
    const std::string own = address_towards(address, port);
    return own.empty() ? c10d::ProcessGroupGloo::createDefaultDevice()
                       : c10d::ProcessGroupGloo::createDeviceForHostname(own);
}

std::string rank_key(uint32_t rank)
{
    return "dcnv2/rank/" + std::to_string(rank);
}

/* Why not all ranks are there, as far as the store can still tell. */
std::string absence(c10d::TCPStore &store, uint32_t n_ranks, uint32_t timeout_s)
{
    std::string missing;
    try {
        for (uint32_t i = 0; i < n_ranks; i++)
            if (!store.check({rank_key(i)}))
                missing += (missing.empty() ? "rank " : ", ") + std::to_string(i);
    } catch (const std::exception &) {
        return "rank 0 has died or has given up waiting for others";
    }
    return missing.empty() ? "rank 0 does not answer"
                           : missing + " did not come within " + std::to_string(timeout_s) + " s";
}

/* Says that this rank is here, and waits for all of them. */
void meet(c10d::TCPStore &store, uint32_t rank, uint32_t n_ranks, const Deadline &deadline,
          uint32_t timeout_s)
{
    if (store.add(rank_key(rank), 1) != 1)
        throw std::runtime_error("another process says that it is rank " + std::to_string(rank));
    std::vector<std::string> keys;
    for (uint32_t i = 0; i < n_ranks; i++)
        keys.push_back(rank_key(i));
    try {
        store.wait(keys, deadline.left());
    } catch (const std::exception &) {
        throw std::runtime_error(absence(store, n_ranks, timeout_s));
    }
}

void sum(Group &group, Tensor values)
{
    std::vector<Tensor> tensors{values};
    group.gloo->allreduce(tensors)->wait();
}

/*
 * From libtorch 2.4 on the store asks for libuv, also in a build without it, as Debian's is, where
 * no store comes about. The server of its own threads, libtorch 1.13's, is in every build.
 */
template <typename Options>
auto use_own_server(Options &options, int) -> decltype((void)(options.useLibUV = false))
{
    options.useLibUV = false;
}

/* An older libtorch has no other server. */
template <typename Options> void use_own_server(Options &, long)
{
}

std::unique_ptr<Group> create_group(const std::string &address, uint16_t port, uint32_t rank,
                                    uint32_t n_ranks, uint32_t timeout_s)
{
    const milliseconds timeout(1000 * (int64_t)timeout_s);
    const Deadline deadline(timeout);
    c10d::TCPStoreOptions store_options;
    store_options.port = port;
    store_options.isServer = rank == 0;
    store_options.waitWorkers = false;
    store_options.timeout = timeout;
    use_own_server(store_options, 0);
    auto group = std::make_unique<Group>();
    group->n_ranks = n_ranks;
    group->store = c10::make_intrusive<c10d::TCPStore>(address, store_options);
    meet(*group->store, rank, n_ranks, deadline, timeout_s);

    auto options = c10d::ProcessGroupGloo::Options::create(deadline.left());
    options->devices.push_back(gloo_device(address, port));
    options->threads = 1; /* one operation at a time */
    try {
        group->gloo =
            c10::make_intrusive<GlooGroup>(group->store, (int)rank, (int)n_ranks, options);
        sum(*group, at::ones({1})); /* nobody leaves before all are connected */
    } catch (const std::exception &error) {
        throw std::runtime_error(std::string("all came, but cannot connect to each other: ") +
                                 without_place(error.what()));
    }
    group->gloo->set_timeout(timeout);
    return group;
}

/* Gloo writes to the sockets of ranks that have gone; Python ignores the signal as well. */
void ignore_broken_pipes()
{
    struct sigaction action;
    if (sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

/*
 * The store has requests without a timeout, and so has the resolver: a rank 0 that takes
 * connections and says nothing would be waited for for ever. So a thread of its own creates the
 * group, and is left behind when it is late: who gets this error ends.
 */
int group_create(const char *address, uint16_t port, uint32_t rank, uint32_t n_ranks,
                 uint32_t timeout_s, void **ret_group, char *message)
{
    return guarded(message, [&] {
        ignore_broken_pipes();
        const uint32_t seconds = std::max(timeout_s, 1u);
        std::packaged_task<std::unique_ptr<Group>()> task(
            [host = std::string(address), port, rank, n_ranks, seconds] {
                return create_group(host, port, rank, n_ranks, seconds);
            });
        auto created = task.get_future();
        std::thread(std::move(task)).detach();
        /* A little more than its own deadline: its errors say more. */
        if (created.wait_for(milliseconds(1000 * (int64_t)seconds + 500)) !=
            std::future_status::ready)
            throw std::runtime_error("no answer within " + std::to_string(seconds) + " s");
        *ret_group = created.get().release();
    });
}

void group_free(void *group)
{
    char message[TORCH_MESSAGE_SIZE];
    (void)guarded(message, [&] { delete static_cast<Group *>(group); });
}

int group_sum(void *group, float *values, size_t n, char *message)
{
    return guarded(message, [&] {
        if (n > 0)
            sum(*static_cast<Group *>(group), at::from_blob(values, {(int64_t)n}, at::kFloat));
    });
}

int group_gather(void *handle, const void *mine, size_t size, void *ret_all, char *message)
{
    return guarded(message, [&] {
        Group &group = *static_cast<Group *>(handle);
        if (size == 0)
            return;
        std::vector<Tensor> inputs{
            at::from_blob(const_cast<void *>(mine), {(int64_t)size}, at::kByte)};
        std::vector<std::vector<Tensor>> outputs(1);
        for (uint32_t i = 0; i < group.n_ranks; i++)
            outputs[0].push_back(
                at::from_blob(static_cast<char *>(ret_all) + i * size, {(int64_t)size}, at::kByte));
        group.gloo->allgather(outputs, inputs)->wait();
    });
}

int group_broadcast(void *group, void *bytes, size_t size, char *message)
{
    return guarded(message, [&] {
        if (size == 0)
            return;
        std::vector<Tensor> tensors{at::from_blob(bytes, {(int64_t)size}, at::kByte)};
        static_cast<Group *>(group)->gloo->broadcast(tensors)->wait();
    });
}

/* ---- the network */

struct Parameter {
    Tensor values, moments[2];
};

/* A torch_layer that owns its lists. */
struct Layer {
    torch_layer layer;
    std::vector<uint32_t> inputs;
    std::vector<torch_part> parts;
    explicit Layer(const torch_layer &from)
        : layer(from), inputs(from.inputs, from.inputs + from.n_inputs),
          parts(from.parts, from.parts + from.n_parts)
    {
    }
};

struct Network {
    uint32_t n_dense, n_sparse;
    double learning_rate, beta1, beta2, eps;
    at::ScalarType type;
    std::vector<Parameter> parameters;
    std::vector<Layer> layers;
    uint64_t n_steps = 0;

    const Tensor &value(size_t i) const
    {
        return parameters.at(i).values;
    }
    Tensor linear(const Layer &of, const Tensor &x) const
    {
        return at::linear(x, value(of.layer.tensors[0]), value(of.layer.tensors[1]));
    }
};

Parameter make_parameter(const torch_tensor &from, at::ScalarType type)
{
    const at::IntArrayRef sizes(from.sizes, from.n_dims);
    Parameter parameter;
    parameter.values = at::zeros(sizes, type).requires_grad_(true);
    for (Tensor &moment : parameter.moments)
        moment = at::zeros(sizes, type);
    return parameter;
}

Tensor input_value(const Network &network, const Layer &of, const torch_batch &batch)
{
    const int64_t n_rows = batch.n_rows;
    const Tensor dense =
        at::from_blob(const_cast<float *>(batch.dense), {n_rows, network.n_dense}, at::kFloat);
    const Tensor indices =
        at::from_blob(const_cast<int64_t *>(batch.indices), {n_rows, network.n_sparse}, at::kLong);
    std::vector<Tensor> parts;
    for (const torch_part &part : of.parts)
        parts.push_back(part.is_table ? at::embedding(network.value(part.tensor),
                                                      indices.select(1, part.column).contiguous())
                                      : dense.narrow(1, part.column, 1).to(network.type));
    return at::cat(parts, 1);
}

/* What a layer reads: the values behind each other. */
Tensor read_inputs(const Layer &of, const std::vector<Tensor> &values)
{
    std::vector<Tensor> inputs;
    for (const uint32_t input : of.inputs)
        inputs.push_back(values.at(input));
    return inputs.size() == 1 ? inputs[0] : at::cat(inputs, 1);
}

/* network/kinds.h has the formulas. values: those of the layers before. */
Tensor layer_value(const Network &network, const Layer &of, const std::vector<Tensor> &values,
                   const torch_batch &batch)
{
    if (of.layer.kind == TORCH_INPUT)
        return input_value(network, of, batch);
    const Tensor x = read_inputs(of, values);
    switch (of.layer.kind) {
    case TORCH_LINEAR:
        return network.linear(of, x);
    case TORCH_RELU:
        return at::relu(x);
    case TORCH_CROSS_FULL:
        return values.at(of.layer.x0) * network.linear(of, x) + x;
    case TORCH_CROSS_LAYER_NORM:
        return at::layer_norm(network.linear(of, x), {x.size(1)},
                              network.value(of.layer.tensors[2]),
                              network.value(of.layer.tensors[3]), of.layer.epsilon) +
               x;
    case TORCH_OUTPUT:
        return at::sigmoid(network.linear(of, x)).squeeze(1);
    default:
        throw std::logic_error("a layer of an unknown kind: " + std::to_string(of.layer.kind));
    }
}

/* Rows' scores, [n_rows]. */
Tensor forward(const Network &network, const torch_batch &batch)
{
    std::vector<Tensor> values;
    for (const Layer &layer : network.layers)
        values.push_back(layer_value(network, layer, values, batch));
    return values.back();
}

/* One step of one parameter in the operations of torch.optim.Adam. */
void adam_step(const Network &network, Parameter &parameter)
{
    const Tensor &gradient = parameter.values.grad();
    if (!gradient.defined())
        return;
    const double t = (double)network.n_steps;
    const double correction1 = 1 - std::pow(network.beta1, t);
    const double correction2 = std::sqrt(1 - std::pow(network.beta2, t));
    parameter.moments[0].mul_(network.beta1).add_(gradient, 1 - network.beta1);
    parameter.moments[1].mul_(network.beta2).addcmul_(gradient, gradient, 1 - network.beta2);
    const Tensor root = (parameter.moments[1].sqrt() / correction2).add_(network.eps);
    parameter.values.addcdiv_(parameter.moments[0], root, -network.learning_rate / correction1);
}

int network_create(const torch_network *from, void **ret_network, char *message)
{
    return guarded(message, [&] {
        at::set_num_threads((int)std::max(from->n_threads, 1u));
        auto network = std::make_unique<Network>();
        network->n_dense = from->n_dense;
        network->n_sparse = from->n_sparse;
        network->learning_rate = from->learning_rate;
        network->beta1 = from->beta1;
        network->beta2 = from->beta2;
        network->eps = from->eps;
        network->type = from->is_double ? at::kDouble : at::kFloat;
        for (uint32_t i = 0; i < from->n_tensors; i++)
            network->parameters.push_back(make_parameter(from->tensors[i], network->type));
        for (uint32_t i = 0; i < from->n_layers; i++)
            network->layers.emplace_back(from->layers[i]);
        *ret_network = network.release();
    });
}

void network_free(void *network)
{
    char message[TORCH_MESSAGE_SIZE];
    (void)guarded(message, [&] { delete static_cast<Network *>(network); });
}

/* Values (0) or moments (1, 2) of parameter i. */
Tensor &part(void *network, int which, uint32_t i)
{
    Parameter &parameter = static_cast<Network *>(network)->parameters.at(i);
    return which == 0 ? parameter.values : parameter.moments[which == 2];
}

Tensor over(float *values, const Tensor &like)
{
    return at::from_blob(values, like.sizes(), at::kFloat);
}

int network_set(void *network, int which, uint32_t i, const float *values, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        Tensor &to = part(network, which, i);
        to.copy_(over(const_cast<float *>(values), to));
    });
}

int network_get(void *network, int which, uint32_t i, float *ret_values, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        const Tensor &from = part(network, which, i);
        over(ret_values, from).copy_(from);
    });
}

int network_set_steps(void *network, uint64_t n_steps, char *message)
{
    return guarded(message, [&] { static_cast<Network *>(network)->n_steps = n_steps; });
}

int network_gradients(void *handle, const torch_batch *batch, uint32_t n_all_rows, double *ret_loss,
                      char *message)
{
    return guarded(message, [&] {
        Network &network = *static_cast<Network *>(handle);
        for (Parameter &parameter : network.parameters)
            parameter.values.mutable_grad() = at::zeros_like(parameter.values.detach());
        *ret_loss = 0;
        if (batch->n_rows == 0)
            return;
        const Tensor labels =
            at::from_blob(const_cast<float *>(batch->labels), {batch->n_rows}, at::kFloat);
        const Tensor losses = at::binary_cross_entropy(
            forward(network, *batch), labels.to(network.type), {}, at::Reduction::None);
        (losses.sum() / (double)n_all_rows).backward();
        *ret_loss = losses.detach().to(at::kDouble).sum().item<double>();
    });
}

const Tensor &gradient(void *network, uint32_t i)
{
    const Tensor &found = part(network, 0, i).grad();
    if (!found.defined())
        throw std::logic_error("there are no gradients yet");
    return found;
}

int network_get_gradient(void *network, uint32_t i, float *ret_values, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        const Tensor &from = gradient(network, i);
        over(ret_values, from).copy_(from);
    });
}

int network_set_gradient(void *network, uint32_t i, const float *values, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        const Tensor &to = gradient(network, i);
        to.copy_(over(const_cast<float *>(values), to));
    });
}

int network_adam(void *handle, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        Network &network = *static_cast<Network *>(handle);
        network.n_steps++;
        for (Parameter &parameter : network.parameters)
            adam_step(network, parameter);
    });
}

int network_score(void *network, const torch_batch *batch, float *ret_scores, char *message)
{
    return guarded(message, [&] {
        at::NoGradGuard no_gradient;
        if (batch->n_rows == 0)
            return;
        const Tensor scores = forward(*static_cast<Network *>(network), *batch);
        over(ret_scores, scores).copy_(scores);
    });
}

} // namespace

extern "C" __attribute__((visibility("default"))) const torch_plugin *dcnv2_torch_plugin(void)
{
    static const torch_plugin plugin = {TORCH_PLUGIN_VERSION,
                                        TORCH_VERSION,
                                        group_create,
                                        group_free,
                                        group_sum,
                                        group_gather,
                                        group_broadcast,
                                        network_create,
                                        network_free,
                                        network_set,
                                        network_get,
                                        network_set_steps,
                                        network_gradients,
                                        network_get_gradient,
                                        network_set_gradient,
                                        network_adam,
                                        network_score};
    return &plugin;
}
