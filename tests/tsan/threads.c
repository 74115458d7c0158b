/*
 * threads -- C11's threads, locks and conditions as those of POSIX. Loaded before all others
 * (LD_PRELOAD) where the thread sanitizer watches.
 *
 * The sanitizer knows of pthread_create and pthread_mutex_lock, not of thrd_create and mtx_lock, which librdkafka
 * calls: a thread that it does not know crashes it, and what such a lock guards looks like a race. In glibc these types
 * are the POSIX ones under another name, so that handing on is all there is to do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a C11 lock is a POSIX one");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a C11 condition is a POSIX one");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a C11 thread is a POSIX one");

static int result(int number)
{
    switch (number) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

struct start {
    thrd_start_t run;
    void *argument;
};

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    return (void *)(intptr_t)start.run(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){function, argument};
    int number = pthread_create(thread, NULL, run, start);
    if (number != 0)
        free(start);
    return result(number == EAGAIN ? ENOMEM : number);
}

int thrd_join(thrd_t thread, int *code)
{
    void *value;
    int number = pthread_join(thread, &value);
    if (number == 0 && code != NULL)
        *code = (int)(intptr_t)value;
    return result(number);
}

int thrd_detach(thrd_t thread)
{
    return result(pthread_detach(thread));
}

_Noreturn void thrd_exit(int code)
{
    pthread_exit((void *)(intptr_t)code);
}

int mtx_init(mtx_t *lock, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int number = pthread_mutex_init((pthread_mutex_t *)lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(number);
}

void mtx_destroy(mtx_t *lock)
{
    pthread_mutex_destroy((pthread_mutex_t *)lock);
}

int mtx_lock(mtx_t *lock)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)lock));
}

int mtx_trylock(mtx_t *lock)
{
    return result(pthread_mutex_trylock((pthread_mutex_t *)lock));
}

int mtx_timedlock(mtx_t *lock, const struct timespec *until)
{
    return result(pthread_mutex_timedlock((pthread_mutex_t *)lock, until));
}

int mtx_unlock(mtx_t *lock)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)lock));
}

int cnd_init(cnd_t *condition)
{
    return result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int cnd_wait(cnd_t *condition, mtx_t *lock)
{
    return result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)lock));
}

int cnd_timedwait(cnd_t *condition, mtx_t *lock, const struct timespec *until)
{
    return result(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)lock, until));
}

int cnd_signal(cnd_t *condition)
{
    return result(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)condition));
}
