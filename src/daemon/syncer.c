/* syncer -- see syncer.h. */
#include "daemon/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum state { IDLE, RUNNING, DONE, QUIT };

struct rkb_syncer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int wake_fd;
    enum state state;
    struct rkb_sync job;
    bool ran;
    struct rkb_error error;
};

static void set_state(struct rkb_syncer *syncer, enum state state)
{
    pthread_mutex_lock(&syncer->mutex);
    syncer->state = state;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->mutex);
}

static enum state wait_while(struct rkb_syncer *syncer, enum state state)
{
    pthread_mutex_lock(&syncer->mutex);
    while (syncer->state == state)
        pthread_cond_wait(&syncer->changed, &syncer->mutex);
    enum state now = syncer->state;
    pthread_mutex_unlock(&syncer->mutex);
    return now;
}

static void *work(void *context)
{
    struct rkb_syncer *syncer = context;
    uint64_t one = 1;
    pthread_setname_np(pthread_self(), "rkb-syncer");
    for (;;) {
        enum state state = wait_while(syncer, IDLE);
        if (state == QUIT)
            return NULL;
        if (state == DONE) {
            wait_while(syncer, DONE);
            continue;
        }
        syncer->ran = rkb_sync_run(&syncer->job, &syncer->error);
        set_state(syncer, DONE);
        if (write(syncer->wake_fd, &one, sizeof one) < 0)
            continue;       /* signalled already */
    }
}

struct rkb_syncer *rkb_syncer_start(int wake_fd, struct rkb_error *error)
{
    struct rkb_syncer *syncer = calloc(1, sizeof *syncer);
    if (syncer == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the syncer");
        return NULL;
    }
    syncer->wake_fd = wake_fd;
    pthread_mutex_init(&syncer->mutex, NULL);
    pthread_cond_init(&syncer->changed, NULL);
    errno = pthread_create(&syncer->thread, NULL, work, syncer);
    if (errno == 0)
        return syncer;
    rkb_fail_errno(error, "cannot start the syncer's thread");
    free(syncer);
    return NULL;
}

bool rkb_syncer_idle(struct rkb_syncer *syncer)
{
    pthread_mutex_lock(&syncer->mutex);
    bool idle = syncer->state == IDLE;
    pthread_mutex_unlock(&syncer->mutex);
    return idle;
}

void rkb_syncer_run(struct rkb_syncer *syncer, const struct rkb_sync *job)
{
    syncer->job = *job;
    set_state(syncer, RUNNING);
}

bool rkb_syncer_finish(struct rkb_syncer *syncer, bool wait, struct rkb_sync *job, bool *ran, struct rkb_error *error)
{
    if (wait)
        wait_while(syncer, RUNNING);
    pthread_mutex_lock(&syncer->mutex);
    bool done = syncer->state == DONE;
    pthread_mutex_unlock(&syncer->mutex);
    if (!done)
        return false;
    *job = syncer->job;
    *ran = syncer->ran;
    *error = syncer->error;
    set_state(syncer, IDLE);
    return true;
}

void rkb_syncer_stop(struct rkb_syncer *syncer)
{
    wait_while(syncer, RUNNING);
    set_state(syncer, QUIT);
    pthread_join(syncer->thread, NULL);
    pthread_cond_destroy(&syncer->changed);
    pthread_mutex_destroy(&syncer->mutex);
    free(syncer);
}
