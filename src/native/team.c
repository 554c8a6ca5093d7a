/* SPDX-License-Identifier: Apache-2.0 */
#include "native/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cpus.h"
#include "native/float_mode.h"

/* Some 30 microseconds: more than lies between the jobs of a step. */
enum { SPINS = 1000 };

struct team {
    unsigned n_threads;
    unsigned n_spins;
    /*
     * The number of the job in the upper half, how many tasks are left to take in the lower. The
     * job's fields are written while none is left, and believed only by who then takes a task of
     * the job that it saw before it read them: a thread that comes late takes nothing.
     */
    _Atomic uint64_t turn;
    _Atomic uint32_t n_tasks;
    _Atomic(team_task) task;
    _Atomic(void *) context;
    _Atomic uint32_t n_done;
    _Atomic unsigned n_asleep; /* workers, changed under the lock */
    _Atomic bool caller_asleep;
    bool is_over;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct member {
        struct team *team;
        unsigned number;
        pthread_t thread;
    } * members; /* [n_threads - 1] */
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The last of the tasks that are left in the job of *turn. */
static bool take(struct team *team, uint64_t *turn, uint32_t *ret_task)
{
    const uint32_t job = (uint32_t)(*turn >> 32);
    while ((uint32_t)(*turn >> 32) == job && (uint32_t)*turn > 0)
        if (atomic_compare_exchange_weak(&team->turn, turn, *turn - 1)) {
            *turn -= 1;
            *ret_task = (uint32_t)*turn;
            return true;
        }
    return false;
}

static void count_done(struct team *team, uint32_t n_tasks)
{
    if (atomic_fetch_add(&team->n_done, 1) + 1 < n_tasks || !atomic_load(&team->caller_asleep))
        return;
    pthread_mutex_lock(&team->lock);
    pthread_cond_signal(&team->done);
    pthread_mutex_unlock(&team->lock);
}

/* Takes tasks of the job of `turn` until none is left. */
static void work(struct team *team, uint64_t turn, unsigned member)
{
    const uint32_t n_tasks = atomic_load(&team->n_tasks);
    const team_task task = atomic_load(&team->task);
    void *context = atomic_load(&team->context);
    for (uint32_t i; take(team, &turn, &i);) {
        task(context, i, member);
        count_done(team, n_tasks);
    }
}

static bool has_job_after(struct team *team, uint32_t job, uint64_t *ret_turn)
{
    *ret_turn = atomic_load(&team->turn);
    return *ret_turn >> 32 != job;
}

/* *turn: the last job's, then the next one's. False: the team is being freed. */
static bool wait_for_job(struct team *team, uint64_t *turn)
{
    const uint32_t last = (uint32_t)(*turn >> 32);
    for (unsigned i = 0; i < team->n_spins; i++) {
        if (has_job_after(team, last, turn))
            return true;
        pause_briefly();
    }
    pthread_mutex_lock(&team->lock);
    atomic_fetch_add(&team->n_asleep, 1);
    while (!has_job_after(team, last, turn) && !team->is_over)
        pthread_cond_wait(&team->work, &team->lock);
    atomic_fetch_sub(&team->n_asleep, 1);
    const bool is_over = team->is_over;
    pthread_mutex_unlock(&team->lock);
    return !is_over;
}

static void *run_member(void *argument)
{
    const struct member *member = argument;
    float_mode_flush();
    for (uint64_t turn = 0; wait_for_job(member->team, &turn);)
        work(member->team, turn, member->number);
    return NULL;
}

static void wait_until_done(struct team *team, uint32_t n_tasks)
{
    for (unsigned i = 0; i < team->n_spins; i++) {
        if (atomic_load(&team->n_done) == n_tasks)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&team->lock);
    atomic_store(&team->caller_asleep, true);
    while (atomic_load(&team->n_done) != n_tasks)
        pthread_cond_wait(&team->done, &team->lock);
    atomic_store(&team->caller_asleep, false);
    pthread_mutex_unlock(&team->lock);
}

void team_run(struct team *team, uint32_t n_tasks, team_task task, void *context)
{
    if (team->n_threads == 1 || n_tasks < 2) {
        for (uint32_t i = 0; i < n_tasks; i++)
            task(context, i, 0);
        return;
    }
    atomic_store(&team->n_tasks, n_tasks);
    atomic_store(&team->task, task);
    atomic_store(&team->context, context);
    atomic_store(&team->n_done, 0);
    const uint64_t turn = ((atomic_load(&team->turn) >> 32) + 1) << 32 | n_tasks;
    atomic_store(&team->turn, turn);
    if (atomic_load(&team->n_asleep)) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->work);
        pthread_mutex_unlock(&team->lock);
    }
    work(team, turn, 0);
    wait_until_done(team, n_tasks);
}

/* Ends the first `n` workers. */
static void end(struct team *team, unsigned n)
{
    pthread_mutex_lock(&team->lock);
    team->is_over = true;
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->lock);
    for (unsigned i = 0; i < n; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->work);
    pthread_cond_destroy(&team->done);
    pthread_mutex_destroy(&team->lock);
    free(team->members);
    free(team);
}

struct team *team_create(unsigned n_threads)
{
    struct team *team = calloc(1, sizeof *team);
    if (team == NULL)
        return NULL;
    team->n_threads = n_threads;
    team->n_spins = n_threads <= cpus_available() ? SPINS : 0;
    team->members = calloc(n_threads, sizeof *team->members);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->work, NULL);
    pthread_cond_init(&team->done, NULL);
    unsigned n = 0;
    for (; team->members && n + 1 < n_threads; n++) {
        team->members[n] = (struct member){.team = team, .number = n + 1};
        if (pthread_create(&team->members[n].thread, NULL, run_member, &team->members[n]) != 0)
            break;
    }
    if (team->members == NULL || n + 1 < n_threads) {
        end(team, n);
        return NULL;
    }
    return team;
}

void team_free(struct team *team)
{
    if (team)
        end(team, team->n_threads - 1);
}
