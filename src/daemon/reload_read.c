/* reload_read -- see reload_read.h. */
#include "daemon/reload_read.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/difference.h"

enum { READING, DONE, ABANDONED };

struct rkb_reading_job {
    char *file;
    char **sources;                     /* names, in the order that is wanted */
    size_t source_count;
    bool embedded;
    int wake_fd;                        /* a copy: it stays open as long as the job */
    atomic_int state;
    struct rkb_reading_result result;
};

static void job_free(struct rkb_reading_job *job)
{
    for (size_t i = 0; job->sources != NULL && i < job->source_count; i++)
        free(job->sources[i]);
    free(job->sources);
    free(job->file);
    if (job->wake_fd >= 0)
        close(job->wake_fd);
    free(job);
}

static void result_free(struct rkb_reading_result *result)
{
    rkb_mistakes_free(&result->mistakes);
    rkb_routing_free(result->routing);
}

static void read_config(struct rkb_reading_job *job)
{
    struct rkb_reading_result *result = &job->result;
    struct rkb_config *config = rkb_config_read(job->file, job->embedded, &result->mistakes);
    if (config == NULL)
        return;
    rkb_config_order_sources(config, job->sources, job->source_count);
    result->routing = rkb_routing_new(config, &result->error);
    if (result->routing == NULL)
        rkb_config_free(config);
    else
        result->routing->owned = config;
}

static void *work(void *context)
{
    struct rkb_reading_job *job = context;
    uint64_t one = 1;
    pthread_setname_np(pthread_self(), "rkb-reload");
    read_config(job);
    int wake_fd = job->wake_fd;
    job->wake_fd = -1;                  /* ours to close: the job may be gone as soon as it is done */
    if (atomic_exchange(&job->state, DONE) == ABANDONED) {
        result_free(&job->result);
        job_free(job);
    } else if (write(wake_fd, &one, sizeof one) < 0) {
        /* it is signalled already */
    }
    close(wake_fd);
    return NULL;
}

/* All signals are the loop's. */
static bool start(struct rkb_reading_job *job, struct rkb_error *error)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t detached;
    sigfillset(&all);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&thread, &detached, work, job);
    bool started = errno == 0 || rkb_fail_errno(error, "cannot start a thread that reads the config");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return started;
}

static bool copy_sources(struct rkb_reading_job *job, const struct rkb_config *now)
{
    job->sources = calloc(now->source_count + 1, sizeof *job->sources);
    for (size_t i = 0; job->sources != NULL && i < now->source_count; i++) {
        job->sources[job->source_count++] = strdup(now->sources[i].name);
        if (job->sources[i] == NULL)
            return false;
    }
    return job->sources != NULL;
}

struct rkb_reading_job *rkb_reading_begin(const char *file, bool embedded, const struct rkb_config *now, int wake_fd,
                                          struct rkb_error *error)
{
    struct rkb_reading_job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->embedded = embedded;
        job->file = strdup(file);
        job->wake_fd = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
    }
    if (job == NULL || job->file == NULL || job->wake_fd < 0 || !copy_sources(job, now))
        rkb_fail(error, RKB_NO_MEMORY, "no memory or descriptors to read the config");
    else if (start(job, error))
        return job;
    if (job != NULL)
        job_free(job);
    return NULL;
}

bool rkb_reading_take(struct rkb_reading_job *job, struct rkb_reading_result *result)
{
    if (atomic_load(&job->state) != DONE)
        return false;
    *result = job->result;
    job_free(job);
    return true;
}

void rkb_reading_abandon(struct rkb_reading_job *job)
{
    if (job == NULL || atomic_exchange(&job->state, ABANDONED) != DONE)
        return;
    result_free(&job->result);
    job_free(job);
}
