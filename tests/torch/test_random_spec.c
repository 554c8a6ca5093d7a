/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of random specs beside libtorch in float64, and their bits beside themselves.
 * DCNV2_TEST_SPECS=5000 for more of them, DCNV2_TEST_FIRST_SEED=1234 for others.
 */
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "kernels/kernels.h"
#include "memory.h"
#include "network/json_spec.h"
#include "random_spec.h"
#include "random_tensor.h"
#include "spec_reference.h"
#include "test.h"

#ifdef __SANITIZE_ADDRESS__
enum { N_SPECS = 30 };
#else
enum { N_SPECS = 150 };
#endif

enum { MOST_ROWS = 301, N_PICKS = 4, ARENA_BYTES = 1 << 30 };

static const double NEAR = 1e-6;

struct scores {
    float scores[MOST_ROWS], logits[MOST_ROWS];
};

/* A network that is ready, of a spec of which the layers are its own. */
struct loaded {
    struct arena arena;
    struct network_spec spec;
    struct network network;
    float *scratch;
};

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- failures ---- */

/* The spec as people write one: its vocabularies are none. */
static struct text as_json(const struct random_spec *made, struct arena *arena)
{
    const struct spec_vocabularies none = {0};
    struct text json = {"", 0};
    (void)spec_json_write(&made->spec, &none, arena, &json);
    return json;
}

static bool fail(const struct random_spec *made, const char *what)
{
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const struct text json = as_json(made, &arena);
    printf("seed %llu, %zu rows: %s\n%.*s\n", (unsigned long long)made->seed, made->batch.n_rows,
           what, (int)json.length, json.at);
    arena_free(&arena);
    return false;
}

/* ---- networks ---- */

static void start_loaded(struct loaded *loaded)
{
    *loaded = (struct loaded){0};
    arena_init(&loaded->arena, ARENA_BYTES);
}

static void free_loaded(struct loaded *loaded)
{
    memory_free(loaded->scratch, loaded->network.scratch_floats * sizeof(float));
    network_free(&loaded->network);
    arena_free(&loaded->arena);
}

/* Of loaded->spec. */
static bool load(struct loaded *loaded, const struct random_spec *made)
{
    const struct network_memory memory = {.in_place = made->seed % 2, .most_bytes = SIZE_MAX};
    struct format_error error;
    if (spec_resolve(&loaded->spec, &loaded->arena, &made->list, &error) != 0 ||
        network_load(&loaded->network, &loaded->arena, &loaded->spec, &made->list, &memory,
                     &error) != 0)
        return fail(made, error.message);
    loaded->scratch = memory_alloc(loaded->network.scratch_floats * sizeof(float));
    return true;
}

static bool load_written(struct loaded *loaded, const struct random_spec *made)
{
    start_loaded(loaded);
    loaded->spec = made->spec;
    const size_t size = made->spec.n_layers * sizeof *made->spec.layers;
    loaded->spec.layers =
        random_room(&loaded->arena, made->spec.n_layers, sizeof *made->spec.layers);
    memcpy(loaded->spec.layers, made->spec.layers, size);
    return load(loaded, made);
}

static bool load_json(struct loaded *loaded, const struct random_spec *made, bool is_resolved,
                      const struct network_spec *resolved)
{
    struct format_error error;
    struct spec_vocabularies vocabularies = {0};
    struct spec_json_files files = {0};
    struct text json;
    start_loaded(loaded);
    if (spec_json_write(is_resolved ? resolved : &made->spec, &vocabularies, &loaded->arena,
                        &json) != 0)
        return fail(made, "it cannot be written as model.json");
    if (spec_json_read(&loaded->spec, &vocabularies, &loaded->arena, json, &files, &error) != 0)
        return fail(made, error.message);
    return load(loaded, made);
}

/* Sets what is not scored to NaN, which no bits equal. */
static bool score(const struct network *network, const struct kernels *kernels, float *scratch,
                  const struct network_batch *batch, struct scores *scores)
{
    float alone[MOST_ROWS];
    memset(scores, 0xFF, sizeof *scores);
    return network_score(network, kernels, scratch, batch, scores->scores, scores->logits) ==
               batch->n_rows &&
           network_score(network, kernels, scratch, batch, alone, NULL) == batch->n_rows &&
           memcmp(alone, scores->scores, batch->n_rows * sizeof *alone) == 0;
}

/* ---- libtorch ---- */

static spec_reference_fn *load_reference(void)
{
    const char *named = getenv("DCNV2_SPEC_REFERENCE");
    void *library = dlopen(named ? named : "build/lib/spec_reference.so", RTLD_NOW);
    spec_reference_fn *reference = NULL;
    if (library)
        *(void **)&reference = dlsym(library, "spec_reference");
    if (reference == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return reference;
}

/* How far the worst row was, over its bound; and the largest logit. */
struct distances {
    double worst, largest_logit;
    unsigned n_beyond_near; /* rows in which libtorch's floats count */
};

static double sigmoid(double logit)
{
    return 1 / (1 + exp(-logit));
}

/* Of one number: within `near`, or no farther than twice libtorch's floats are. */
static bool is_near(struct distances *distances, double near, double found, double float64,
                    double of_floats)
{
    const double bound = fmax(near, 2 * of_floats);
    const double distance = fabs(found - float64);
    distances->worst = fmax(distances->worst, distance / bound);
    distances->n_beyond_near += distance > near;
    return distance <= bound; /* false of a NaN */
}

/* Of libtorch's floats from its doubles, in the worst row: another row is exact by luck at times.
 */
struct of_floats {
    double score, logit;
};

static struct of_floats distance_of_floats(const double *float64, const double *float32, size_t n)
{
    struct of_floats worst = {0, 0};
    for (size_t r = 0; r < n; r++) {
        worst.score = fmax(worst.score, fabs(sigmoid(float32[r]) - sigmoid(float64[r])));
        worst.logit = fmax(worst.logit, fabs(float32[r] - float64[r]));
    }
    return worst;
}

/* Beside the row's score its logit, as near: the slope of the sigmoid is 1/4 at most. */
static bool is_row_near(struct distances *distances, float score, float logit, double float64,
                        struct of_floats of_floats)
{
    const double near_logit = 4 * NEAR * fmax(1, fabs(float64));
    distances->largest_logit = fmax(distances->largest_logit, fabs(float64));
    return is_near(distances, NEAR, (double)score, sigmoid(float64), of_floats.score) &&
           is_near(distances, near_logit, (double)logit, float64, of_floats.logit);
}

static bool compare_torch(const struct random_spec *made, const struct scores *found,
                          spec_reference_fn *reference, struct distances *distances)
{
    static double float64[MOST_ROWS], float32[MOST_ROWS];
    static char message[SPEC_REFERENCE_MESSAGE_SIZE];
    if (reference(&made->spec, &made->list, &made->batch, float64, float32, message) != 0)
        return fail(made, message);
    const struct of_floats of_floats = distance_of_floats(float64, float32, made->batch.n_rows);
    for (size_t r = 0; r < made->batch.n_rows; r++) {
        if (is_row_near(distances, found->scores[r], found->logits[r], float64[r], of_floats))
            continue;
        snprintf(message, sizeof message,
                 "row %zu: logit %.9g; libtorch in float64 %.9g, in float32 %.9g", r,
                 (double)found->logits[r], float64[r], float32[r]);
        return fail(made, message);
    }
    return true;
}

/* ---- the same bits ---- */

static bool same_bits(const struct scores *picked, const struct scores *whole, const uint32_t *rows,
                      size_t n)
{
    for (size_t r = 0; r < n; r++)
        if (memcmp(&picked->scores[r], &whole->scores[rows[r]], sizeof(float)) != 0 ||
            memcmp(&picked->logits[r], &whole->logits[rows[r]], sizeof(float)) != 0)
            return false;
    return true;
}

/* Alone, and in batches of other sizes and orders. */
static bool pick_batches(const struct random_spec *made, const struct loaded *loaded,
                         const struct kernels *kernels, const struct scores *whole)
{
    struct arena arena;
    struct random random;
    bool is_same = true;
    arena_init(&arena, ARENA_BYTES);
    random_start(&random, made->seed, 1);
    for (unsigned pick = 0; pick < N_PICKS && is_same; pick++) {
        uint32_t rows[MOST_ROWS];
        struct scores picked;
        const size_t n = pick < 2 ? 1 : 1 + random_of(&random, MOST_ROWS);
        for (size_t r = 0; r < n; r++)
            rows[r] = random_of(&random, (uint32_t)made->batch.n_rows);
        const struct network_batch batch =
            random_spec_pick(&made->spec, &arena, &made->batch, rows, n);
        is_same = score(&loaded->network, kernels, loaded->scratch, &batch, &picked) &&
                  same_bits(&picked, whole, rows, n);
    }
    arena_free(&arena);
    return is_same || fail(made, "a row has other bits alone or in another batch");
}

static bool same_whole(const struct random_spec *made, const struct scores *a,
                       const struct scores *b, const char *what)
{
    const size_t size = made->batch.n_rows * sizeof *a->scores;
    return (memcmp(a->scores, b->scores, size) == 0 && memcmp(a->logits, b->logits, size) == 0) ||
           fail(made, what);
}

static bool compare_sets(const struct random_spec *made, const struct loaded *loaded,
                         const struct scores *whole)
{
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct kernels *kernels = kernels_select(names[i]);
        struct scores found;
        if (kernels == NULL)
            continue; /* this CPU has not the set */
        if (!score(&loaded->network, kernels, loaded->scratch, &made->batch, &found))
            return fail(made, "it is not scored by one of the sets of kernels");
        if (!same_whole(made, &found, whole, names[i]) ||
            !pick_batches(made, loaded, kernels, whole))
            return false;
    }
    return true;
}

struct thread_work {
    const struct random_spec *made;
    const struct loaded *loaded;
    float *scratch;
    struct scores found;
    bool is_scored;
};

static void *score_in_thread(void *context)
{
    struct thread_work *work = context;
    work->is_scored = score(&work->loaded->network, kernels_select(NULL), work->scratch,
                            &work->made->batch, &work->found);
    return NULL;
}

static bool compare_threads(const struct random_spec *made, const struct loaded *loaded,
                            const struct scores *whole)
{
    const size_t size = loaded->network.scratch_floats * sizeof(float);
    struct thread_work work[2] = {{made, loaded, loaded->scratch, {{0}, {0}}, false},
                                  {made, loaded, memory_alloc(size), {{0}, {0}}, false}};
    pthread_t thread;
    if (pthread_create(&thread, NULL, score_in_thread, &work[1]) != 0)
        return fail(made, "no thread");
    score_in_thread(&work[0]);
    pthread_join(thread, NULL);
    memory_free(work[1].scratch, size);
    return work[0].is_scored && work[1].is_scored &&
           same_whole(made, &work[0].found, whole, "other bits in a thread") &&
           same_whole(made, &work[1].found, whole, "other bits in a second thread");
}

static bool compare_json(const struct random_spec *made, const struct loaded *written,
                         const struct scores *whole)
{
    for (int is_resolved = 0; is_resolved < 2; is_resolved++) {
        struct loaded loaded;
        struct scores found;
        const bool is_same =
            load_json(&loaded, made, is_resolved, &written->spec) &&
            score(&loaded.network, kernels_select(NULL), loaded.scratch, &made->batch, &found) &&
            same_whole(made, &found, whole, "other bits as model.json");
        free_loaded(&loaded);
        if (!is_same)
            return fail(made, "written as model.json and read back");
    }
    return true;
}

/* ---- the tests ---- */

static bool check_spec(uint64_t seed, spec_reference_fn *reference, struct distances *distances)
{
    struct random_spec made;
    struct loaded loaded;
    struct scores whole;
    random_spec_make(&made, seed);
    bool is_good = load_written(&loaded, &made);
    if (is_good &&
        !score(&loaded.network, kernels_select("scalar"), loaded.scratch, &made.batch, &whole))
        is_good = fail(&made, "not all rows are scored, or other bits with logits");
    is_good = is_good && compare_torch(&made, &whole, reference, distances) &&
              compare_sets(&made, &loaded, &whole) && compare_threads(&made, &loaded, &whole) &&
              compare_json(&made, &loaded, &whole);
    free_loaded(&loaded);
    random_spec_free(&made);
    return is_good;
}

TEST(random_specs_score_as_libtorch_does)
{
    spec_reference_fn *reference = load_reference();
    const uint64_t first = number_of("DCNV2_TEST_FIRST_SEED", 1);
    const uint64_t n = number_of("DCNV2_TEST_SPECS", N_SPECS);
    struct distances distances = {0};
    unsigned n_bad = 0;
    for (uint64_t seed = first; seed < first + n; seed++)
        n_bad += !check_spec(seed, reference, &distances);
    printf("%llu specs: distance from float64 up to %.2f of its bound, beyond %.0e for %u numbers; "
           "largest logit %.3g\n",
           (unsigned long long)n, distances.worst, NEAR, distances.n_beyond_near,
           distances.largest_logit);
    CHECK_MSG(n_bad == 0, "%u of %llu specs", n_bad, (unsigned long long)n);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    RUN(random_specs_score_as_libtorch_does);
    return test_report();
}
